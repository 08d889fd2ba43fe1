// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/cross_entropy.h"

#include <cmath>
#include <limits>
#include <string>

#include "backend/cpu/axis_ranges.h"
#include "backend/cpu/blocks.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/simd.h"
#include "core/error.h"

namespace meshplan {
namespace {

constexpr int64_t kStatistics = 3, kLanes = 16;

template <class A>
constexpr A kNothing = -std::numeric_limits<A>::infinity();

template <class A>
MESHPLAN_SIMD A maximumOf(const A* x, int64_t n) {
  A lanes[kLanes];
  for (int64_t l = 0; l < kLanes; ++l) lanes[l] = kNothing<A>;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t l = 0; l < kLanes; ++l) lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
  A best = kNothing<A>;
  for (int64_t l = 0; l < kLanes; ++l) best = lanes[l] > best ? lanes[l] : best;
  for (; i < n; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

template <class A>
MESHPLAN_SIMD A sumOfExponentials(const A* x, int64_t n, A maximum) {
  A lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t l = 0; l < kLanes; ++l) lanes[l] += simd::exp(x[i + l] - maximum);
  A sum = 0;
  for (int64_t l = 0; l < kLanes; ++l) sum += lanes[l];
  for (; i < n; ++i) sum += simd::exp(x[i] - maximum);
  return sum;
}

template <class A>
MESHPLAN_SIMD void scaledSoftmax(const A* __restrict x, A* __restrict y, int64_t n, A maximum,
                                 A factor) {
  for (int64_t i = 0; i < n; ++i) y[i] = simd::exp(x[i] - maximum) * factor;
}

template <class A>
struct RowStatistics {
  A maximum = kNothing<A>, sum = 0, target = kNothing<A>;

  void merge(A otherMaximum, A otherSum) {
    const A top = std::max(maximum, otherMaximum);
    if (top == kNothing<A>) return;
    sum = sum * std::exp(maximum - top) + otherSum * std::exp(otherMaximum - top);
    maximum = top;
  }
};

/// What all of a call's functions know about logits[rows..., vocabulary] and the labels.
struct Sizes {
  Sizes(const KernelCall& call, const TensorView& logits) {
    const Shape& shape = logits.type.shape;
    rows = 1;
    for (size_t d = 0; d + 1 < shape.size(); ++d) rows *= shape[d];
    columns = shape.back();
    vocabulary = rangeOf(call, shape.size() - 1, columns);
  }
  int64_t rows, columns;
  AxisRange vocabulary;
};

/// Rows of the whole batch: all axes of the nest but the last.
double wholeRows(const KernelCall& call, int64_t localRows) {
  if (call.axes.empty()) return static_cast<double>(localRows);
  double rows = 1;
  for (size_t a = 0; a + 1 < call.axes.size(); ++a) rows *= static_cast<double>(call.axes[a].whole);
  return rows;
}

int64_t labelOf(const TensorView& labels, int64_t row) {
  int64_t buffer;
  return *loadBlock(labels, row, 1, &buffer);
}

void checkLabels(const KernelCall& call, const TensorView& labels, const Sizes& sizes) {
  for (int64_t row = 0; row < sizes.rows; ++row) {
    const int64_t label = labelOf(labels, row);
    if (label >= 0 && label < sizes.vocabulary.whole) continue;
    throw Error(ErrorKind::runtime,
                "label " + std::to_string(label) + " is outside the vocabulary of " +
                    std::to_string(sizes.vocabulary.whole),
                "check the data")
        .at(call.op->name);
  }
}

template <class A>
RowStatistics<A> rowStatistics(const TensorView& logits, int64_t first, int64_t columns,
                               A* buffer) {
  RowStatistics<A> result;
  for (int64_t at = 0; at < columns; at += kBlock) {
    const int64_t n = std::min(kBlock, columns - at);
    const A* x = loadBlock(logits, first + at, n, buffer);
    const A maximum = maximumOf<A>(x, n);
    if (maximum == kNothing<A>) continue;
    result.merge(maximum, sumOfExponentials<A>(x, n, maximum));
  }
  return result;
}

template <class A>
RowStatistics<A> mergedRow(const A* statistics, int64_t ranks, int64_t rows, int64_t row) {
  RowStatistics<A> result;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const A* s = statistics + (rank * rows + row) * kStatistics;
    result.merge(s[0], s[1]);
    result.target = std::max(result.target, s[2]);
  }
  return result;
}

template <class F>
void withStatisticsType(const TensorView& statistics, F&& f) {
  if (statistics.type.dtype == DType::f64) return f(double{});
  f(float{});
}

}  // namespace

void crossEntropyStatistics(CpuContext& context, const KernelCall& call,
                            const TensorView& statistics) {
  const TensorView &logits = call.inputs[0], &labels = call.inputs[1];
  const Sizes sizes(call, logits);
  checkLabels(call, labels, sizes);
  withStatisticsType(statistics, [&](auto number) {
    using A = decltype(number);
    A* out = statistics.as<A>();
    parallelRanges(context, sizes.rows, 8 * sizes.columns, [&](int64_t begin, int64_t end) {
      A buffer[kBlock];
      for (int64_t row = begin; row < end; ++row) {
        const int64_t first = row * sizes.columns;
        const RowStatistics<A> s = rowStatistics<A>(logits, first, sizes.columns, buffer);
        const int64_t at = labelOf(labels, row) - sizes.vocabulary.begin;
        const bool here = at >= 0 && at < sizes.columns;
        out[row * kStatistics] = s.maximum;
        out[row * kStatistics + 1] = s.sum;
        out[row * kStatistics + 2] = here ? *loadBlock(logits, first + at, 1, buffer) : s.target;
      }
    });
  });
}

void crossEntropyLoss(CpuContext&, const KernelCall& call, const TensorView& statistics) {
  const int64_t ranks = statistics.type.shape[0];
  const int64_t rows = statistics.type.elements() / std::max<int64_t>(1, ranks * kStatistics);
  double loss = 0;
  withStatisticsType(statistics, [&](auto number) {
    using A = decltype(number);
    for (int64_t row = 0; row < rows; ++row) {
      const RowStatistics<A> s = mergedRow(statistics.as<A>(), ranks, rows, row);
      loss += static_cast<double>(s.maximum - s.target) + std::log(static_cast<double>(s.sum));
    }
  });
  loss /= wholeRows(call, rows);
  storeBlock(call.outputs[0], 0, 1, &loss);
}

void crossEntropyGradient(CpuContext& context, const KernelCall& call,
                          const TensorView& statistics) {
  const TensorView &logits = *call.forwardInput(0), &labels = *call.forwardInput(1);
  const TensorView& dx = *call.inputGradient(0);
  const Sizes sizes(call, logits);
  const double scale = call.lossScale / wholeRows(call, sizes.rows);
  const int64_t ranks = statistics.type.shape[0];
  withStatisticsType(statistics, [&](auto number) {
    using A = decltype(number);
    parallelRanges(context, sizes.rows, 8 * sizes.columns, [&](int64_t begin, int64_t end) {
      A in[kBlock], out[kBlock];
      for (int64_t row = begin; row < end; ++row) {
        const RowStatistics<A> s = mergedRow(statistics.as<A>(), ranks, sizes.rows, row);
        const A factor = static_cast<A>(scale) / s.sum;
        const int64_t label = labelOf(labels, row) - sizes.vocabulary.begin;
        for (int64_t at = 0; at < sizes.columns; at += kBlock) {
          const int64_t n = std::min(kBlock, sizes.columns - at), first = row * sizes.columns + at;
          A* target = blockTarget(dx, first, out);
          scaledSoftmax<A>(loadBlock(logits, first, n, in), target, n, s.maximum, factor);
          if (label >= at && label < at + n) target[label - at] -= static_cast<A>(scale);
          if (target == out) storeBlock(dx, first, n, target);
        }
      }
    });
  });
}

}  // namespace meshplan
