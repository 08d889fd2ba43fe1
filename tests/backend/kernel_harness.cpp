// SPDX-License-Identifier: Apache-2.0
#include "tests/backend/kernel_harness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "backend/cpu/element.h"
#include "backend/half.h"

namespace meshplan {
namespace {

template <class F>
void visit(const TensorView& view, F f) {
  switch (view.type.dtype) {
    case DType::f64:
      return f(view.as<double>());
    case DType::f32:
      return f(view.as<float>());
    case DType::bf16:
      return f(view.as<BFloat16>());
    case DType::f16:
      return f(view.as<Half>());
    case DType::i64:
      return f(view.as<int64_t>());
    case DType::i32:
      return f(view.as<int32_t>());
    case DType::u8:
    case DType::boolean:
      return f(view.as<uint8_t>());
    default:
      FAIL() << "no arrays of " << dtypeName(view.type.dtype);
  }
}

std::vector<TensorType> typesOf(const std::vector<Array>& arrays) {
  std::vector<TensorType> types;
  for (const Array& a : arrays) types.push_back(a.type());
  return types;
}

std::vector<TensorView> viewsOf(const std::vector<Array>& arrays) {
  std::vector<TensorView> views;
  for (const Array& a : arrays) views.push_back(a.view());
  return views;
}

LoopNest nestOf(const KernelCase& c, const std::vector<Array>& outputs) {
  const auto in = typesOf(c.inputs), out = typesOf(outputs);
  return operatorDef(c.def).nest({c.attributes, in, out});
}

std::vector<AxisRange> rangesOf(const KernelCase& c, const std::vector<Array>& outputs) {
  if (!c.axes.empty()) return c.axes;
  std::vector<AxisRange> ranges;
  for (const Axis& a : nestOf(c, outputs).axes) ranges.push_back({0, a.extent, a.extent});
  return ranges;
}

/// Which dimension of a tensor an axis can be split along; -1: none.
int dimensionOf(const TensorWalk& walk, int8_t axis, const LoopNest& nest) {
  for (size_t d = 0; d < walk.size(); ++d) {
    for (const int8_t a : {walk[d].outer, walk[d].middle, walk[d].inner}) {
      if (a == axis) return static_cast<int>(d);
      if (a != kNoAxis && nest.axes[static_cast<size_t>(a)].extent > 1) break;
    }
  }
  return -1;
}

Array part(const Array& whole, int dimension, int64_t index, int64_t parts) {
  if (dimension < 0) return whole;
  const auto d = static_cast<size_t>(dimension);
  TensorType type = whole.type();
  const int64_t from = type.shape[d] * index / parts, to = type.shape[d] * (index + 1) / parts;
  const int64_t inner = elementCount(Shape(type.shape.begin() + dimension + 1, type.shape.end()));
  const int64_t step = type.shape[d] * inner;
  const std::vector<double> all = whole.values();
  std::vector<double> some;
  for (int64_t i = 0; i < static_cast<int64_t>(all.size()); i += step)
    some.insert(some.end(), all.begin() + i + from * inner, all.begin() + i + to * inner);
  type.shape[d] = to - from;
  return {type, some};
}

/// What the parts make together, against the whole.
double combinedError(const Array& whole, const std::vector<Array>& pieces, int dimension,
                     bool adds) {
  double worst = 0;
  std::vector<double> sum(static_cast<size_t>(whole.type().elements()));
  for (size_t i = 0; i < pieces.size(); ++i) {
    const std::vector<double> values = pieces[i].values();
    if (dimension >= 0 || !adds) {
      const Array mine =
          part(whole, dimension, static_cast<int64_t>(i), static_cast<int64_t>(pieces.size()));
      worst = std::max(worst, largestError(values, mine.values()));
    } else {
      for (size_t k = 0; k < sum.size(); ++k) sum[k] += values[k];
    }
  }
  return dimension >= 0 || !adds ? worst : largestError(sum, whole.values());
}

std::vector<Array> gradientsFor(const std::vector<Array>& outputs) {
  std::vector<Array> gradients;
  for (size_t i = 0; i < outputs.size() && isFloating(outputs[i].type().dtype); ++i)
    gradients.push_back(randomArray(outputs[i].type().dtype, outputs[i].shape(), 77 + i));
  gradients.resize(std::min<size_t>(gradients.size(), 1));
  return gradients;
}

}  // namespace

Array::Array(TensorType type)
    : type_(std::move(type)), lines_(static_cast<size_t>(type_.bytes().value) / 64 + 1) {}

Array::Array(TensorType type, const std::vector<double>& values) : Array(std::move(type)) {
  EXPECT_EQ(static_cast<size_t>(type_.elements()), values.size());
  visit(view(), [&](auto* data) {
    using T = std::remove_pointer_t<decltype(data)>;
    for (size_t i = 0; i < values.size(); ++i)
      if constexpr (std::is_same_v<T, BFloat16> || std::is_same_v<T, Half>)
        data[i] = T(static_cast<float>(values[i]));
      else
        data[i] = static_cast<T>(values[i]);
  });
}

TensorView Array::view() const {
  return {const_cast<Line*>(lines_.data()), type_};
}

std::vector<double> Array::values() const {
  std::vector<double> values(static_cast<size_t>(type_.elements()));
  visit(view(), [&](const auto* data) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(data[i]);
  });
  return values;
}

bool Array::operator==(const Array& other) const {
  return type_ == other.type_ && std::memcmp(lines_.data(), other.lines_.data(),
                                             static_cast<size_t>(type_.bytes().value)) == 0;
}

Array randomArray(DType dtype, const Shape& shape, uint64_t seed) {
  std::mt19937_64 random(seed * 7919 + 1);
  std::vector<double> values(static_cast<size_t>(elementCount(shape)));
  for (double& v : values) v = static_cast<double>(random() >> 11) * 0x1p-52 - 1;
  return {{dtype, shape}, values};
}

Array zeros(DType dtype, const Shape& shape) {
  return Array({dtype, shape});
}

std::vector<Array> runForward(const KernelCase& c, CpuContext* context) {
  CpuContext own(c.threads);
  return runForward(c,
                    [&](const KernelCall& call) { runCpuKernel(context ? *context : own, call); });
}

std::vector<Array> runForward(const KernelCase& c, const KernelRunner& runner) {
  Operator op;
  op.def = &operatorDef(c.def);
  op.attributes = c.attributes;
  std::vector<Array> outputs;
  for (const TensorType& t : op.def->infer(c.attributes, typesOf(c.inputs)))
    outputs.emplace_back(t);
  const auto in = viewsOf(c.inputs), out = viewsOf(outputs);
  const auto axes = rangesOf(c, outputs);
  KernelCall call;
  call.op = &op;
  call.inputs = in;
  call.outputs = out;
  call.axes = axes;
  call.training = c.training;
  call.seed = c.seed;
  runner(call);
  return outputs;
}

namespace {

struct GradientRun {
  const KernelCase& c;
  const std::vector<Array>& outputs;
  const std::vector<Array>& outputGradients;
  const std::vector<std::optional<Array>>* sums;
  std::optional<DType> weightGradients;
  const KernelRunner& runner;

  /// Gradients of inputs [first, last) by one operator.
  void operator()(size_t first, size_t last, std::vector<std::optional<Array>>& result) const {
    Operator op;
    op.def = &operatorDef(c.def);
    op.attributes = c.attributes;
    std::vector<TensorView> in, out;
    KernelCall call;
    SlotSet reads;
    const auto inTypes = typesOf(c.inputs), outTypes = typesOf(outputs);
    for (size_t i = first; i < last; ++i) {
      TensorType type = inTypes[i];
      if (!isFloating(type.dtype)) continue;
      if (i > 0 && weightGradients) type.dtype = *weightGradients;
      result[i] = sums ? *(*sums)[i] : Array(type);
      if (sums) call.accumulate |= 1u << out.size();
      out.push_back(result[i]->view());
      op.outputSlots.push_back({Slot::inputGradient, static_cast<uint8_t>(i)});
      if (!op.def->needs) continue;
      const SlotSet needs = op.def->needs({c.attributes, inTypes, outTypes}, static_cast<int>(i));
      reads.inputs |= needs.inputs;
      reads.outputs |= needs.outputs;
    }
    if (out.empty()) return;
    if (op.def->gradientAttributes)
      for (const auto& [name, value] :
           op.def->gradientAttributes({c.attributes, inTypes, outTypes}))
        op.attributes.set(name, value);
    const auto read = [&](Slot::Kind kind, size_t i, const Array& a) {
      in.push_back(a.view());
      op.inputSlots.push_back({kind, static_cast<uint8_t>(i)});
    };
    for (size_t i = 0; i < outputGradients.size(); ++i)
      read(Slot::outputGradient, i, outputGradients[i]);
    for (size_t i = 0; i < c.inputs.size(); ++i)
      if (reads.inputs >> i & 1) read(Slot::input, i, c.inputs[i]);
    for (size_t i = 0; i < outputs.size(); ++i)
      if (reads.outputs >> i & 1) read(Slot::output, i, outputs[i]);
    const auto axes = rangesOf(c, outputs);
    call.op = &op;
    call.inputs = in;
    call.outputs = out;
    call.axes = axes;
    call.training = c.training;
    call.seed = c.seed;
    if (runner) return runner(call);
    CpuContext context(c.threads);
    runCpuKernel(context, call);
  }
};

}  // namespace

std::vector<std::optional<Array>> runBackward(const KernelCase& c,
                                              const std::vector<Array>& outputs,
                                              const std::vector<Array>& outputGradients,
                                              const std::vector<std::optional<Array>>* sums,
                                              std::optional<DType> weightGradients,
                                              const KernelRunner& runner) {
  std::vector<std::optional<Array>> result(c.inputs.size());
  const GradientRun run{c, outputs, outputGradients, sums, weightGradients, runner};
  if (operatorDef(c.def).gradient == GradientKind::none) return result;
  if (operatorDef(c.def).gradient == GradientKind::fused) {
    run(0, c.inputs.size(), result);
  } else {
    run(0, 1, result);
    run(1, c.inputs.size(), result);
  }
  return result;
}

double largestError(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double error = a[i] == b[i] ? 0 : std::abs(a[i] - b[i]) / std::max(1.0, std::abs(b[i]));
    if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
  }
  return worst;
}

double largestError(const Array& a, const Array& b) {
  return largestError(a.values(), b.values());
}

double gradientError(const KernelCase& c) {
  constexpr double kStep = 1e-5;
  const std::vector<Array> outputs = runForward(c);
  const std::vector<Array> incoming = gradientsFor(outputs);
  const auto gradients = runBackward(c, outputs, incoming);
  const std::vector<double> weights = incoming[0].values();
  const auto loss = [&](const KernelCase& at) {
    const std::vector<double> y = runForward(at)[0].values();
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * weights[i];
    return sum;
  };
  double worst = 0;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    if (!gradients[i]) continue;
    const std::vector<double> x = c.inputs[i].values();
    std::vector<double> numeric(x.size());
    for (size_t k = 0; k < x.size(); ++k) {
      KernelCase moved = c;
      std::vector<double> values = x;
      values[k] = x[k] + kStep;
      moved.inputs[i] = Array(c.inputs[i].type(), values);
      const double above = loss(moved);
      values[k] = x[k] - kStep;
      moved.inputs[i] = Array(c.inputs[i].type(), values);
      numeric[k] = (above - loss(moved)) / (2 * kStep);
    }
    worst = std::max(worst, largestError(gradients[i]->values(), numeric));
  }
  return worst;
}

double precisionError(const KernelCase& c) {
  const auto widened = [](const Array& a) {
    return isFloating(a.type().dtype) ? Array({DType::f64, a.shape()}, a.values()) : a;
  };
  KernelCase wide = c;
  for (Array& a : wide.inputs) a = widened(a);
  const std::vector<Array> outputs = runForward(c), expected = runForward(wide);
  double worst = 0;
  for (size_t i = 0; i < outputs.size(); ++i)
    worst = std::max(worst, largestError(outputs[i], expected[i]));
  if (operatorDef(c.def).gradient == GradientKind::none) return worst;
  const std::vector<Array> incoming = gradientsFor(outputs);
  std::vector<Array> wideIncoming;
  for (const Array& a : incoming) wideIncoming.push_back(widened(a));
  const auto gradients = runBackward(c, outputs, incoming);
  const auto expectedGradients = runBackward(wide, expected, wideIncoming);
  for (size_t i = 0; i < gradients.size(); ++i)
    if (gradients[i]) worst = std::max(worst, largestError(*gradients[i], *expectedGradients[i]));
  return worst;
}

double shardingError(const KernelCase& c, std::string_view axis, int64_t parts) {
  const LoopNest nest = nestOf(c, runForward(c));
  for (size_t a = nest.axes.size(); a-- > 0;)
    if (nest.axes[a].name == axis) return shardingError(c, a, parts);
  ADD_FAILURE() << "no axis " << axis;
  return INFINITY;
}

double shardingError(const KernelCase& c, size_t axis, int64_t parts) {
  const std::vector<Array> outputs = runForward(c), incoming = gradientsFor(outputs);
  const auto gradients = runBackward(c, outputs, incoming);
  const LoopNest nest = nestOf(c, outputs);
  const auto at = static_cast<int8_t>(axis);
  const int along = dimensionOf(nest.outputs[0], at, nest);
  std::vector<std::vector<Array>> pieces(outputs.size()), gradientPieces(c.inputs.size());
  for (int64_t p = 0; p < parts; ++p) {
    KernelCase mine = c;
    mine.axes = rangesOf(c, outputs);
    AxisRange& range = mine.axes[static_cast<size_t>(at)];
    const int64_t begin = range.whole * p / parts, end = range.whole * (p + 1) / parts;
    range = {begin, end - begin, range.whole};
    for (size_t i = 0; i < c.inputs.size(); ++i)
      mine.inputs[i] = part(c.inputs[i], dimensionOf(nest.inputs[i], at, nest), p, parts);
    const std::vector<Array> results = runForward(mine);
    for (size_t i = 0; i < results.size(); ++i) pieces[i].push_back(results[i]);
    std::vector<Array> partIncoming;
    for (const Array& g : incoming) partIncoming.push_back(part(g, along, p, parts));
    const auto partGradients = runBackward(mine, results, partIncoming);
    for (size_t i = 0; i < partGradients.size(); ++i)
      if (partGradients[i]) gradientPieces[i].push_back(*partGradients[i]);
  }
  double worst = 0;
  for (size_t i = 0; i < outputs.size(); ++i)
    worst = std::max(
        worst, combinedError(outputs[i], pieces[i], dimensionOf(nest.outputs[i], at, nest), true));
  for (size_t i = 0; i < c.inputs.size(); ++i)
    if (gradients[i])
      worst = std::max(worst, combinedError(*gradients[i], gradientPieces[i],
                                            dimensionOf(nest.inputs[i], at, nest), along >= 0));
  return worst;
}

double accumulationError(const KernelCase& c) {
  const std::vector<Array> outputs = runForward(c), incoming = gradientsFor(outputs);
  const auto gradients = runBackward(c, outputs, incoming);
  std::vector<std::optional<Array>> sums(c.inputs.size());
  for (size_t i = 0; i < sums.size(); ++i)
    if (gradients[i]) sums[i] = randomArray(gradients[i]->type().dtype, gradients[i]->shape(), i);
  const auto added = runBackward(c, outputs, incoming, &sums);
  double worst = 0;
  for (size_t i = 0; i < sums.size(); ++i) {
    if (!gradients[i]) continue;
    std::vector<double> expected = gradients[i]->values();
    const std::vector<double> start = sums[i]->values();
    for (size_t k = 0; k < start.size(); ++k) expected[k] += start[k];
    worst = std::max(worst, largestError(added[i]->values(), expected));
  }
  return worst;
}

}  // namespace meshplan
