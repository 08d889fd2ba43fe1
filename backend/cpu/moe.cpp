// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <numeric>

#include "backend/cpu/blocks.h"
#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/strided.h"
#include "core/error.h"

namespace meshplan {
namespace {

/// Scores of the chosen experts: e^(logit - largest chosen), or with a correction sigmoid(logit).
template <class A>
void chosenScores(const A* logits, const int64_t* chosen, int64_t k, bool corrected, A* scores) {
  A top = logits[chosen[0]];
  for (int64_t i = 1; i < k; ++i) top = std::max(top, logits[chosen[i]]);
  for (int64_t i = 0; i < k; ++i) {
    const A x = logits[chosen[i]];
    scores[i] = corrected ? A(1) / (A(1) + std::exp(-x)) : std::exp(x - top);
  }
}

/// The k largest keys, lower indices first among equals.
template <class A>
void choose(const std::vector<A>& keys, int64_t k, std::vector<int64_t>& order) {
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int64_t i, int64_t j) {
    const A a = keys[static_cast<size_t>(i)], b = keys[static_cast<size_t>(j)];
    return a == b ? i < j : a > b;
  });
}

void routerForward(CpuContext& context, const KernelCall& call) {
  const TensorView &logits = call.inputs[0], &weights = call.outputs[0];
  const int64_t experts = logits.type.shape[2], k = weights.type.shape[2];
  auto* indices = call.outputs[1].as<int64_t>();
  const bool corrected = call.inputs.size() == 2;
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    std::vector<A> correction(static_cast<size_t>(experts));
    if (corrected) {
      const A* c = loadBlock(call.inputs[1], 0, experts, correction.data());
      if (c != correction.data()) std::copy_n(c, experts, correction.data());
    }
    const int64_t tokens = weights.type.elements() / k;
    parallelRanges(context, tokens, 16 * experts, [&](int64_t begin, int64_t end) {
      std::vector<A> row(static_cast<size_t>(experts)), keys(row.size()), scores(row.size());
      std::vector<int64_t> order(row.size());
      for (int64_t t = begin; t < end; ++t) {
        const A* x = loadBlock(logits, t * experts, experts, row.data());
        for (size_t e = 0; e < keys.size(); ++e)
          keys[e] = corrected ? A(1) / (A(1) + std::exp(-x[e])) + correction[e] : x[e];
        choose(keys, k, order);
        chosenScores(x, order.data(), k, corrected, scores.data());
        const A sum = std::accumulate(scores.begin(), scores.begin() + k, A(0));
        for (int64_t i = 0; i < k; ++i) scores[static_cast<size_t>(i)] /= sum;
        storeBlock(weights, t * k, k, scores.data());
        std::copy_n(order.begin(), k, indices + t * k);
      }
    });
  });
}

/// w_i = s_i / S, so d s_i = (dw_i - sum_j w_j dw_j) / S; a correction chooses and weighs nothing.
void routerBackward(CpuContext& context, const KernelCall& call) {
  if (const TensorView* dcorrection = call.inputGradient(1)) fillZero(context, *dcorrection);
  const TensorView* dlogits = call.inputGradient(0);
  if (!dlogits) return;
  fillZero(context, *dlogits);
  const TensorView &dw = *call.outputGradient(0), &logits = *call.forwardInput(0);
  const auto* indices = call.forwardOutput(1)->as<int64_t>();
  const int64_t experts = logits.type.shape[2], k = dw.type.shape[2];
  const bool corrected = call.op->attributes.getInt("corrected", 0) != 0;
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    const int64_t tokens = dw.type.elements() / k;
    parallelRanges(context, tokens, 16 * experts, [&](int64_t begin, int64_t end) {
      std::vector<A> row(static_cast<size_t>(experts)), scores(static_cast<size_t>(k)), in(scores);
      for (int64_t t = begin; t < end; ++t) {
        const A* x = loadBlock(logits, t * experts, experts, row.data());
        const A* gradient = loadBlock(dw, t * k, k, in.data());
        const int64_t* chosen = indices + t * k;
        chosenScores(x, chosen, k, corrected, scores.data());
        const A sum = std::accumulate(scores.begin(), scores.end(), A(0));
        A mean = 0;
        for (int64_t i = 0; i < k; ++i) mean += gradient[i] * scores[static_cast<size_t>(i)] / sum;
        for (int64_t i = 0; i < k; ++i) {
          const A s = scores[static_cast<size_t>(i)];
          const A slope = corrected ? s * (A(1) - s) : s;
          const A d = (gradient[i] - mean) / sum * slope;
          storeBlock(*dlogits, t * experts + chosen[i], 1, &d);
        }
      }
    });
  });
}

/// Which slot of y[experts, slots, h] each pair of token and choice has, -1: dropped. Every sample
/// has an equal part of each expert's slots and fills it in the order of its tokens, so that
/// splitting the batch changes nothing; where the slots do not divide among the samples, the whole
/// local batch shares them.
std::vector<int64_t> slotsOf(const KernelCall& call, const TensorView& indices, int64_t experts,
                             int64_t slots) {
  const Shape& shape = indices.type.shape;
  const int64_t groups = shape[0] > 0 && slots % shape[0] == 0 ? shape[0] : 1;
  const int64_t pairs = indices.type.elements() / std::max<int64_t>(1, groups);
  const int64_t room = slots / std::max<int64_t>(1, groups);
  std::vector<int64_t> places(static_cast<size_t>(indices.type.elements()));
  std::vector<int64_t> used(static_cast<size_t>(experts));
  for (int64_t at = 0; at < indices.type.elements(); ++at) {
    const int64_t group = at / pairs;
    if (at % pairs == 0) std::fill(used.begin(), used.end(), 0);
    int64_t buffer;
    const int64_t expert = *loadBlock(indices, at, 1, &buffer);
    if (expert < 0 || expert >= experts)
      throw Error(ErrorKind::runtime, "expert " + std::to_string(expert) + " does not exist",
                  "route to one of " + std::to_string(experts))
          .at(call.op->name);
    const int64_t slot = used[static_cast<size_t>(expert)]++;
    places[static_cast<size_t>(at)] =
        slot < room ? expert * slots + group * room + slot : int64_t{-1};
  }
  return places;
}

/// x[t] = sum over choices of weight x y[slot]; weights may be absent.
template <class A>
void gatherSlots(const CpuContext& context, const std::vector<int64_t>& places, int64_t k,
                 const TensorView& y, const TensorView* weights, const TensorView& x) {
  const int64_t h = y.type.shape[2], tokens = static_cast<int64_t>(places.size()) / k;
  parallelRanges(context, tokens, 2 * k * h, [&](int64_t begin, int64_t end) {
    std::vector<A> sum(static_cast<size_t>(h)), in(sum.size());
    for (int64_t t = begin; t < end; ++t) {
      std::fill(sum.begin(), sum.end(), A(0));
      for (int64_t i = 0; i < k; ++i) {
        const int64_t place = places[static_cast<size_t>(t * k + i)];
        if (place < 0) continue;
        A buffer;
        const A weight = weights ? *loadBlock(*weights, t * k + i, 1, &buffer) : A(1);
        const A* row = loadBlock(y, place * h, h, in.data());
        for (int64_t f = 0; f < h; ++f) sum[static_cast<size_t>(f)] += weight * row[f];
      }
      storeBlock(x, t * h, h, sum.data());
    }
  });
}

/// y[slot] = weight x x[t]; slots that nobody has stay zero.
template <class A>
void scatterSlots(const CpuContext& context, const std::vector<int64_t>& places, int64_t k,
                  const TensorView& x, const TensorView* weights, const TensorView& y) {
  const int64_t h = y.type.shape[2], pairs = static_cast<int64_t>(places.size());
  fillZero(context, y);
  parallelRanges(context, pairs, 2 * h, [&](int64_t begin, int64_t end) {
    std::vector<A> out(static_cast<size_t>(h)), in(out.size());
    for (int64_t p = begin; p < end; ++p) {
      const int64_t place = places[static_cast<size_t>(p)];
      if (place < 0) continue;
      A buffer;
      const A weight = weights ? *loadBlock(*weights, p, 1, &buffer) : A(1);
      const A* row = loadBlock(x, p / k * h, h, in.data());
      for (int64_t f = 0; f < h; ++f) out[static_cast<size_t>(f)] = weight * row[f];
      storeBlock(y, place * h, h, out.data());
    }
  });
}

/// dw = the product of the token's gradient and what its slot gave.
template <class A>
void weightGradients(const CpuContext& context, const std::vector<int64_t>& places, int64_t k,
                     const TensorView& dx, const TensorView& y, const TensorView& dw) {
  const int64_t h = y.type.shape[2], pairs = static_cast<int64_t>(places.size());
  parallelRanges(context, pairs, 2 * h, [&](int64_t begin, int64_t end) {
    std::vector<A> a(static_cast<size_t>(h)), b(a.size());
    for (int64_t p = begin; p < end; ++p) {
      const int64_t place = places[static_cast<size_t>(p)];
      A sum = 0;
      if (place >= 0) {
        const A *gradient = loadBlock(dx, p / k * h, h, a.data()),
                *row = loadBlock(y, place * h, h, b.data());
        for (int64_t f = 0; f < h; ++f) sum += gradient[f] * row[f];
      }
      storeBlock(dw, p, 1, &sum);
    }
  });
}

std::vector<int64_t> slotsIn(const KernelCall& call, const TensorView& indices,
                             const TensorView& y) {
  return slotsOf(call, indices, y.type.shape[0], y.type.shape[1]);
}

void dispatchForward(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &indices = call.inputs[1], &y = call.outputs[0];
  withFloatType(call, [&](auto number) {
    scatterSlots<decltype(number)>(context, slotsIn(call, indices, y), indices.type.shape[2], x,
                                   nullptr, y);
  });
}

void dispatchBackward(CpuContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &indices = *call.forwardInput(1);
  withFloatType(call, [&](auto number) {
    gatherSlots<decltype(number)>(context, slotsIn(call, indices, dy), indices.type.shape[2], dy,
                                  nullptr, *call.inputGradient(0));
  });
}

void combineForward(CpuContext& context, const KernelCall& call) {
  const TensorView &y = call.inputs[0], &indices = call.inputs[2];
  withFloatType(call, [&](auto number) {
    gatherSlots<decltype(number)>(context, slotsIn(call, indices, y), indices.type.shape[2], y,
                                  &call.inputs[1], call.outputs[0]);
  });
}

void combineBackward(CpuContext& context, const KernelCall& call) {
  const TensorView &dx = *call.outputGradient(0), &y = *call.forwardInput(0);
  const TensorView &weights = *call.forwardInput(1), &indices = *call.forwardInput(2);
  const std::vector<int64_t> places = slotsIn(call, indices, y);
  const int64_t k = indices.type.shape[2];
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    if (const TensorView* dy = call.inputGradient(0))
      scatterSlots<A>(context, places, k, dx, &weights, *dy);
    if (const TensorView* dw = call.inputGradient(1))
      weightGradients<A>(context, places, k, dx, y, *dw);
  });
}

constexpr CpuKernels kKernels[] = {
    {"TopKRouter", routerForward, routerBackward},
    {"Dispatch", dispatchForward, dispatchBackward},
    {"Combine", combineForward, combineBackward},
};

}  // namespace

std::span<const CpuKernels> moeKernels() {
  return kKernels;
}

}  // namespace meshplan
