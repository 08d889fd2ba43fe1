// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "backend/cpu/element.h"
#include "backend/cpu/product.h"
#include "backend/cpu/simd.h"

namespace meshplan {
namespace {

enum class Cell { lstm, gru, rnn };

struct Recurrence {
  Cell cell;
  bool relu = false, resetsLast = false;  // RNN's activation; GRU's linear_before_reset
  int64_t s, b, i, d, gates, h;
  bool hasBias;
  size_t initial;  // index of h0

  Recurrence(const KernelCall& call, const Shape& x, const Shape& w, const Shape& r)
      : cell(call.op->def->name == "LSTM"  ? Cell::lstm
             : call.op->def->name == "GRU" ? Cell::gru
                                           : Cell::rnn),
        resetsLast(call.op->attributes.getInt("linear_before_reset", 0) != 0),
        s(x[0]),
        b(x[1]),
        i(x[2]),
        d(w[0]),
        gates(w[1]),
        h(r[2]),
        hasBias(call.op->attributes.getInt("has_bias", 0) != 0),
        initial(hasBias ? 4 : 3) {
    const Attribute* names = call.op->attributes.find("activations");
    const auto* list = names ? std::get_if<std::vector<std::string>>(names) : nullptr;
    relu = cell == Cell::rnn && list && !list->empty() && list->front() == "Relu";
  }

  /// Whether a local direction runs from the last step to the first.
  bool reversed(const KernelCall& call, int64_t direction) const {
    const std::string name = call.op->attributes.getString("direction", "forward");
    const int64_t begin = call.axes.size() > 1 ? call.axes[1].begin : 0;
    return name == "reverse" || (name == "bidirectional" && begin + direction == 1);
  }
};

template <class W>
using Values = std::vector<W>;

template <class W>
Values<W> loaded(const KernelCall& call, const TensorView* view, int64_t from, int64_t count) {
  Values<W> values(static_cast<size_t>(count), W(0));
  if (!view) return values;
  forElementType(*call.op, view->type.dtype, [&](auto element) {
    const auto* const data = view->as<decltype(element)>() + from;
    for (size_t k = 0; k < values.size(); ++k) values[k] = static_cast<W>(data[k]);
  });
  return values;
}

template <class W>
void stored(const KernelCall& call, const TensorView* view, int64_t to, const W* values,
            int64_t count) {
  if (!view) return;
  forElementType(*call.op, view->type.dtype, [&](auto element) {
    using E = decltype(element);
    for (int64_t k = 0; k < count; ++k) view->as<E>()[to + k] = E(static_cast<Wide<E>>(values[k]));
  });
}

/// [rows, columns] of W, `leading` apart.
template <class W>
Matrices matrix(const W* data, int64_t leading) {
  return {const_cast<W*>(data), std::is_same_v<W, double> ? DType::f64 : DType::f32, leading, 1};
}

/// a[k] gates of one row and step: activations in place, new state out.
template <class W>
MESHPLAN_SIMD void lstmStep(int64_t h, W* a, const W* before, W* cells, W* state) {
  W *const in = a, *const out = a + h, *const forget = a + 2 * h, *const next = a + 3 * h;
  for (int64_t j = 0; j < h; ++j) {
    in[j] = simd::sigmoid(in[j]);
    out[j] = simd::sigmoid(out[j]);
    forget[j] = simd::sigmoid(forget[j]);
    next[j] = simd::tanh(next[j]);
    cells[j] = forget[j] * before[j] + in[j] * next[j];
    state[j] = out[j] * simd::tanh(cells[j]);
  }
}

/// dh: of the state, dc: of the cell and then of the one before; a becomes its gradient.
template <class W>
MESHPLAN_SIMD void lstmStepGradient(int64_t h, W* a, const W* before, const W* cells, const W* dh,
                                    W* dc) {
  W *const in = a, *const out = a + h, *const forget = a + 2 * h, *const next = a + 3 * h;
  for (int64_t j = 0; j < h; ++j) {
    const W c = simd::tanh(cells[j]);
    const W g = dc[j] + dh[j] * out[j] * (1 - c * c);
    const W i = in[j], o = out[j], f = forget[j], n = next[j];
    in[j] = g * n * i * (1 - i);
    out[j] = dh[j] * c * o * (1 - o);
    forget[j] = g * before[j] * f * (1 - f);
    next[j] = g * i * (1 - n * n);
    dc[j] = g * f;
  }
}

/// All steps of one direction, in the order in which it visits them.
template <class W>
class Direction {
 public:
  Direction(CpuContext& context, const KernelCall& call, const Recurrence& r, int64_t direction,
            const std::array<const TensorView*, 6>& inputs)
      : context_(context),
        r_(r),
        reversed_(r.reversed(call, direction)),
        w_(loaded<W>(call, inputs[1], direction * r.gates * r.i, r.gates * r.i)),
        u_(loaded<W>(call, inputs[2], direction * r.gates * r.h, r.gates * r.h)),
        bias_(loaded<W>(call, inputs[3], direction * 2 * r.gates, 2 * r.gates)),
        x_(ordered(loaded<W>(call, inputs[0], 0, r.s * r.b * r.i))),
        a_(static_cast<size_t>(r.s * r.b * r.gates)),
        states_(loaded<W>(call, inputs[4], direction * r.b * r.h, r.b * r.h)),
        cells_(loaded<W>(call, inputs[5], direction * r.b * r.h, r.b * r.h)) {
    states_.resize(static_cast<size_t>((r.s + 1) * r.b * r.h));
    cells_.resize(states_.size());
    if (r.cell == Cell::gru) resets_.resize(static_cast<size_t>(r.s * r.b * r.h));
  }

  int64_t time(int64_t step) const { return reversed_ ? r_.s - 1 - step : step; }
  const W* state(int64_t step) const { return states_.data() + step * r_.b * r_.h; }
  const W* cell(int64_t step) const { return cells_.data() + step * r_.b * r_.h; }

  void forward() {
    const int64_t rows = r_.s * r_.b;
    for (int64_t k = 0; k < rows * r_.gates; ++k) {
      const int64_t gate = k % r_.gates;
      a_[at(k)] = bias_[at(gate)] + (separate(gate) ? W(0) : bias_[at(r_.gates + gate)]);
    }
    multiply(context_, {rows, r_.gates, r_.i}, matrix(x_.data(), r_.i),
             matrix(w_.data(), r_.i).transposed(), matrix(a_.data(), r_.gates),
             {.accumulate = true});
    for (int64_t k = 0; k < r_.s; ++k) step(k);
  }

  struct Gradients {
    Values<W> x, w, u, bias, state, cell;
  };

  /// From gradients of the states by step, of the last state and of the last cell; after forward().
  Gradients backward(const Values<W>& dStates, Values<W> dLast, Values<W> dCell) {
    Gradients g;
    Values<W> dh = std::move(dLast);
    du_.resize(a_.size());
    const int64_t size = r_.b * r_.h;
    for (int64_t k = r_.s; k-- > 0;) {
      for (int64_t j = 0; j < size; ++j) dh[at(j)] += dStates[at(k * size + j)];
      stepGradient(k, dh, dCell);
    }
    const int64_t rows = r_.s * r_.b;
    g.x.resize(x_.size());
    multiply(context_, {rows, r_.i, r_.gates}, matrix(a_.data(), r_.gates), matrix(w_.data(), r_.i),
             matrix(g.x.data(), r_.i));
    g.x = ordered(std::move(g.x));
    g.w.resize(w_.size());
    multiply(context_, {r_.gates, r_.i, rows}, matrix(a_.data(), r_.gates).transposed(),
             matrix(x_.data(), r_.i), matrix(g.w.data(), r_.i));
    g.u = recurrentGradient();
    g.bias.assign(bias_.size(), W(0));
    for (int64_t k = 0; k < rows * r_.gates; ++k) {
      g.bias[at(k % r_.gates)] += a_[at(k)];
      g.bias[at(r_.gates + k % r_.gates)] += du_[at(k)];
    }
    g.state = std::move(dh);
    g.cell = std::move(dCell);
    return g;
  }

 private:
  static size_t at(int64_t k) { return static_cast<size_t>(k); }
  W* gatesOf(int64_t k) { return a_.data() + k * r_.b * r_.gates; }

  /// The recurrent bias of GRU's new state is inside the product with the reset gate.
  bool separate(int64_t gate) const {
    return r_.cell == Cell::gru && r_.resetsLast && gate >= 2 * r_.h;
  }

  Values<W> ordered(Values<W> x) const {
    if (!reversed_) return x;
    const int64_t size = r_.b * r_.i;
    for (int64_t k = 0; k < r_.s / 2; ++k)
      std::swap_ranges(x.begin() + k * size, x.begin() + (k + 1) * size,
                       x.begin() + (r_.s - 1 - k) * size);
    return x;
  }

  /// to[b, n] += from[b, h] U[gate ..]^T.
  void addRecurrent(const W* from, int64_t gate, int64_t n, W* to, int64_t leading) {
    multiply(context_, {r_.b, n, r_.h}, matrix(from, r_.h),
             matrix(u_.data() + gate * r_.h, r_.h).transposed(), matrix(to, leading),
             {.accumulate = true});
  }

  void step(int64_t k) {
    W* const a = gatesOf(k);
    const W* const before = state(k);
    W* const after = states_.data() + (k + 1) * r_.b * r_.h;
    if (r_.cell == Cell::gru) return gruStep(k, a, before, after);
    addRecurrent(before, 0, r_.gates, a, r_.gates);
    for (int64_t row = 0; row < r_.b; ++row) {
      W* const own = a + row * r_.gates;
      const int64_t offset = row * r_.h;
      if (r_.cell == Cell::lstm) {
        lstmStep(r_.h, own, cell(k) + offset, cells_.data() + (k + 1) * r_.b * r_.h + offset,
                 after + offset);
        continue;
      }
      for (int64_t j = 0; j < r_.h; ++j) {
        own[j] = r_.relu ? std::max(own[j], W(0)) : std::tanh(own[j]);
        after[offset + j] = own[j];
      }
    }
  }

  /// resets_ holds h U^T + bias (reset afterwards) or r h (reset before the product).
  void gruStep(int64_t k, W* a, const W* before, W* after) {
    const int64_t h = r_.h, size = r_.b * h;
    W* const reset = resets_.data() + k * size;
    addRecurrent(before, 0, 2 * h, a, r_.gates);
    for (int64_t row = 0; row < r_.b; ++row)
      for (int64_t j = 0; j < 2 * h; ++j)
        a[row * r_.gates + j] = 1 / (1 + std::exp(-a[row * r_.gates + j]));
    for (int64_t j = 0; j < size; ++j)
      reset[j] = r_.resetsLast ? bias_[at(r_.gates + 2 * h + j % h)]
                               : a[j / h * r_.gates + h + j % h] * before[j];
    if (r_.resetsLast)
      addRecurrent(before, 2 * h, h, reset, h);
    else
      addRecurrent(reset, 2 * h, h, a + 2 * h, r_.gates);
    for (int64_t j = 0; j < size; ++j) {
      W* const own = a + j / h * r_.gates + j % h;
      if (r_.resetsLast) own[2 * h] += own[h] * reset[j];
      own[2 * h] = std::tanh(own[2 * h]);
      after[j] = (1 - own[0]) * own[2 * h] + own[0] * before[j];
    }
  }

  /// Turns the step's activations into gradients before them (a_, and du_ of the recurrent part),
  /// dh and dc into those of the step before.
  void stepGradient(int64_t k, Values<W>& dh, Values<W>& dc) {
    if (r_.cell == Cell::gru) return gruStepGradient(k, dh);
    W* const a = gatesOf(k);
    for (int64_t row = 0; row < r_.b; ++row) {
      W* const own = a + row * r_.gates;
      const int64_t offset = row * r_.h;
      if (r_.cell == Cell::lstm) {
        lstmStepGradient(r_.h, own, cell(k) + offset, cell(k + 1) + offset, dh.data() + offset,
                         dc.data() + offset);
        continue;
      }
      for (int64_t j = 0; j < r_.h; ++j) {
        const W slope = r_.relu ? W(own[j] > 0) : 1 - own[j] * own[j];
        own[j] = dh[at(offset + j)] * slope;
      }
    }
    std::copy_n(a, r_.b * r_.gates, du_.data() + k * r_.b * r_.gates);
    multiply(context_, {r_.b, r_.h, r_.gates}, matrix(a, r_.gates), matrix(u_.data(), r_.h),
             matrix(dh.data(), r_.h));
  }

  void gruStepGradient(int64_t k, Values<W>& dh) {
    const int64_t h = r_.h, size = r_.b * h;
    W *const a = gatesOf(k), *const du = du_.data() + k * r_.b * r_.gates;
    const W *const before = state(k), *const reset = resets_.data() + k * size;
    Values<W> resetGradient(at(size)), kept(at(size));
    for (int64_t j = 0; j < size; ++j) {
      W* const own = a + j / h * r_.gates + j % h;
      const W z = own[0], n = own[2 * h], g = dh[at(j)];
      kept[at(j)] = g * z;
      own[0] = g * (before[j] - n) * z * (1 - z);
      own[2 * h] = g * (1 - z) * (1 - n * n);
    }
    if (!r_.resetsLast)  // gradient of r h
      multiply(context_, {r_.b, h, h}, matrix(a + 2 * h, r_.gates),
               matrix(u_.data() + 2 * h * h, h), matrix(resetGradient.data(), h));
    for (int64_t j = 0; j < size; ++j) {
      const int64_t place = j / h * r_.gates + j % h;
      const W r = a[place + h], inner = a[place + 2 * h];
      const W g = r_.resetsLast ? inner * reset[j] : resetGradient[at(j)] * before[j];
      a[place + h] = g * r * (1 - r);
      if (!r_.resetsLast) kept[at(j)] += resetGradient[at(j)] * r;
      du[place] = a[place];
      du[place + h] = a[place + h];
      du[place + 2 * h] = r_.resetsLast ? inner * r : inner;
    }
    dh = std::move(kept);
    multiply(context_, {r_.b, h, r_.resetsLast ? r_.gates : 2 * h}, matrix(du, r_.gates),
             matrix(u_.data(), h), matrix(dh.data(), h), {.accumulate = true});
  }

  Values<W> recurrentGradient() {
    Values<W> g(u_.size());
    const int64_t rows = r_.s * r_.b;
    const bool split = r_.cell == Cell::gru && !r_.resetsLast;
    const int64_t direct = split ? 2 * r_.h : r_.gates;
    multiply(context_, {direct, r_.h, rows}, matrix(du_.data(), r_.gates).transposed(),
             matrix(states_.data(), r_.h), matrix(g.data(), r_.h));
    if (split)
      multiply(context_, {r_.h, r_.h, rows}, matrix(du_.data() + direct, r_.gates).transposed(),
               matrix(resets_.data(), r_.h), matrix(g.data() + direct * r_.h, r_.h));
    return g;
  }

  CpuContext& context_;
  const Recurrence& r_;
  bool reversed_;
  Values<W> w_, u_, bias_, x_, a_, states_, cells_, resets_, du_;
};

std::array<const TensorView*, 6> inputsOf(const KernelCall& call, const Recurrence& r) {
  const auto input = [&](size_t i) {
    return call.isGradient()        ? call.forwardInput(i)
           : i < call.inputs.size() ? &call.inputs[i]
                                    : nullptr;
  };
  return {input(0),         input(1),
          input(2),         r.hasBias ? input(3) : nullptr,
          input(r.initial), r.cell == Cell::lstm ? input(r.initial + 1) : nullptr};
}

template <class W>
void runForward(CpuContext& context, const KernelCall& call, const Recurrence& r) {
  const int64_t size = r.b * r.h;
  for (int64_t d = 0; d < r.d; ++d) {
    Direction<W> direction(context, call, r, d, inputsOf(call, r));
    direction.forward();
    for (int64_t k = 0; k < r.s; ++k)
      stored(call, &call.outputs[0], (direction.time(k) * r.d + d) * size, direction.state(k + 1),
             size);
    stored(call, &call.outputs[1], d * size, direction.state(r.s), size);
    if (r.cell == Cell::lstm) stored(call, &call.outputs[2], d * size, direction.cell(r.s), size);
  }
}

template <class W>
void runBackward(CpuContext& context, const KernelCall& call, const Recurrence& r) {
  const int64_t size = r.b * r.h;
  Values<W> dx(static_cast<size_t>(r.s * r.b * r.i));
  for (int64_t d = 0; d < r.d; ++d) {
    Direction<W> direction(context, call, r, d, inputsOf(call, r));
    direction.forward();
    Values<W> dStates;
    for (int64_t k = 0; k < r.s; ++k) {
      const Values<W> one =
          loaded<W>(call, call.outputGradient(0), (direction.time(k) * r.d + d) * size, size);
      dStates.insert(dStates.end(), one.begin(), one.end());
    }
    const auto g =
        direction.backward(dStates, loaded<W>(call, call.outputGradient(1), d * size, size),
                           loaded<W>(call, call.outputGradient(2), d * size, size));
    for (size_t k = 0; k < dx.size(); ++k) dx[k] += g.x[k];
    stored(call, call.inputGradient(1), d * r.gates * r.i, g.w.data(), r.gates * r.i);
    stored(call, call.inputGradient(2), d * r.gates * r.h, g.u.data(), r.gates * r.h);
    if (r.hasBias) stored(call, call.inputGradient(3), d * 2 * r.gates, g.bias.data(), 2 * r.gates);
    stored(call, call.inputGradient(r.initial), d * size, g.state.data(), size);
    if (r.cell == Cell::lstm)
      stored(call, call.inputGradient(r.initial + 1), d * size, g.cell.data(), size);
  }
  stored(call, call.inputGradient(0), 0, dx.data(), r.s * r.b * r.i);
}

void forward(CpuContext& context, const KernelCall& call) {
  const Recurrence r(call, call.inputs[0].type.shape, call.inputs[1].type.shape,
                     call.inputs[2].type.shape);
  if (call.inputs[0].type.dtype == DType::f64) return runForward<double>(context, call, r);
  runForward<float>(context, call, r);
}

void backward(CpuContext& context, const KernelCall& call) {
  const TensorView& x = *call.forwardInput(0);
  const Recurrence r(call, x.type.shape, call.forwardInput(1)->type.shape,
                     call.forwardInput(2)->type.shape);
  if (x.type.dtype == DType::f64) return runBackward<double>(context, call, r);
  runBackward<float>(context, call, r);
}

constexpr std::array<CpuKernels, 3> kKernels{{
    {"LSTM", forward, backward},
    {"GRU", forward, backward},
    {"RNN", forward, backward},
}};

}  // namespace

std::span<const CpuKernels> recurrentKernels() {
  return kKernels;
}

}  // namespace meshplan
