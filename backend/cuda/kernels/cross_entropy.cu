// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/cross_entropy.cpp.
// Bound by bandwidth: forward reads the logits once, backward twice (the second time mostly from
// the cache, since a block has just read its row) and writes once.
#include "backend/cpu/axis_ranges.h"
#include "backend/cuda/kernels/exponentials.h"
#include "backend/cuda/kernels/indices.h"
#include "backend/cuda/kernels/loss_kernels.h"
#include "backend/cuda/split_loss_kernels.h"

namespace meshplan {
namespace {

using device::blockSum;
using device::Compute;
using device::Exponentials;
using device::exponentialsOf;
using device::fastExp;
using device::kInfinity;

constexpr int kStatistics = 3;  // largest, sum of e^(x - largest), logit of the label

/// What all kernels know about logits[rows, columns], a part of the vocabulary from `first` on.
template <class T>
struct Logits {
  const T* x;
  device::Indices labels;
  device::IndexCheck check;
  int64_t rows, columns, first;
};

template <class T>
__global__ void __launch_bounds__(1024)
    statisticsKernel(Logits<T> logits, Compute<T>* __restrict__ statistics) {
  using A = Compute<T>;
  for (int64_t row = blockIdx.x; row < logits.rows; row += gridDim.x) {
    const T* x = logits.x + row * logits.columns;
    const Exponentials<A> s = exponentialsOf(x, logits.columns);
    if (threadIdx.x != 0) continue;
    const int64_t label = logits.labels[row], at = label - logits.first;
    const bool here = logits.check(label) && at >= 0 && at < logits.columns;
    A* out = statistics + row * kStatistics;
    out[0] = s.most;
    out[1] = s.sum;
    out[2] = here ? A(x[at]) : -kInfinity<A>;
  }
}

/// Of a row over the whole vocabulary, from the statistics of all ranks.
template <class A>
__device__ Exponentials<A> mergedRow(const A* statistics, int64_t ranks, int64_t rows, int64_t row,
                                     A& target) {
  Exponentials<A> result;
  target = -kInfinity<A>;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const A* s = statistics + (rank * rows + row) * kStatistics;
    result.merge(s[0], s[1]);
    target = s[2] > target ? s[2] : target;
  }
  return result;
}

/// One block, so that the order of additions is fixed.
template <class A>
__global__ void __launch_bounds__(1024) lossKernel(const A* statistics, int64_t ranks, int64_t rows,
                                                   double wholeRows, device::LossTarget loss) {
  double sum = 0;
  for (int64_t row = threadIdx.x; row < rows; row += blockDim.x) {
    A target;
    const Exponentials<A> s = mergedRow(statistics, ranks, rows, row, target);
    sum += static_cast<double>(s.most - target) + log(static_cast<double>(s.sum));
  }
  sum = blockSum(sum);
  if (threadIdx.x == 0) loss.set(sum / wholeRows);
}

/// Without statistics of ranks, the row's own.
template <class T>
__global__ void __launch_bounds__(1024)
    gradientKernel(Logits<T> logits, const Compute<T>* statistics, int64_t ranks, Compute<T> scale,
                   T* __restrict__ dx) {
  using A = Compute<T>;
  for (int64_t row = blockIdx.x; row < logits.rows; row += gridDim.x) {
    const int64_t first = row * logits.columns, label = logits.labels[row];
    const T* x = logits.x + first;
    A target;
    const Exponentials<A> s = statistics ? mergedRow(statistics, ranks, logits.rows, row, target)
                                         : exponentialsOf(x, logits.columns);
    if (threadIdx.x == 0) logits.check(label);
    const A factor = scale / s.sum;
    const int64_t column = label - logits.first;
    device::forRow(x, logits.columns, [&](int64_t at, auto width) {
      constexpr int kWidth = decltype(width)::value;
      auto p = device::load<T, kWidth>(x + at);
      for (int k = 0; k < kWidth; ++k)
        p.at[k] = fastExp(p.at[k] - s.most) * factor - (at + k == column ? scale : A(0));
      device::store<T, kWidth>(dx + first + at, p);
    });
  }
}

template <class T>
Logits<T> logitsOf(CudaContext& context, const KernelCall& call, const TensorView& logits,
                   const TensorView& labels) {
  const Shape& shape = logits.type.shape;
  const int64_t columns = shape.back();
  const AxisRange vocabulary = rangeOf(call, shape.size() - 1, columns);
  return {logits.as<T>(),
          device::indicesOf(*call.op, labels),
          device::IndexCheck(context, *call.op, "label {} is outside the vocabulary of {}",
                             vocabulary.whole),
          labels.type.elements(),
          columns,
          vocabulary.begin};
}

/// Rows of the whole batch: all axes of the nest but the last.
double wholeRows(const KernelCall& call, int64_t localRows) {
  if (call.axes.empty()) return static_cast<double>(localRows);
  double rows = 1;
  for (size_t a = 0; a + 1 < call.axes.size(); ++a) rows *= static_cast<double>(call.axes[a].whole);
  return rows;
}

template <class T>
int64_t rowBlocks(const CudaContext& context, const Logits<T>& logits) {
  return std::min(logits.rows, int64_t{context.multiprocessors()} * 64);
}

template <class T>
void statisticsAs(CudaContext& context, const KernelCall& call, Compute<T>* statistics) {
  const auto logits = logitsOf<T>(context, call, call.inputs[0], call.inputs[1]);
  launch(context, rowBlocks(context, logits), device::threadsForRow<T>(logits.columns, 4), 0,
         statisticsKernel<T>, logits, statistics);
}

template <class A>
void lossAs(CudaContext& context, const KernelCall& call, const A* statistics, int64_t ranks,
            int64_t rows) {
  launch(context, 1, static_cast<int>(std::clamp<int64_t>(ceilDiv(rows, 32) * 32, 32, 1024)), 0,
         lossKernel<A>, statistics, ranks, rows, wholeRows(call, rows),
         device::lossTarget(call.outputs[0]));
}

template <class T>
void gradientAs(CudaContext& context, const KernelCall& call, const Compute<T>* statistics,
                int64_t ranks) {
  const auto logits = logitsOf<T>(context, call, *call.forwardInput(0), *call.forwardInput(1));
  const double scale = call.lossScale / wholeRows(call, logits.rows);
  launch(context, rowBlocks(context, logits), device::threadsForRow<T>(logits.columns, 4), 0,
         gradientKernel<T>, logits, statistics, ranks, static_cast<Compute<T>>(scale),
         call.inputGradient(0)->as<T>());
}

}  // namespace

void crossEntropyStatistics(CudaContext& context, const KernelCall& call,
                            const TensorView& statistics) {
  device::withElement(*call.op, call.inputs[0].type.dtype, [&](auto element) {
    using T = decltype(element);
    statisticsAs<T>(context, call, statistics.as<Compute<T>>());
  });
}

void crossEntropyLoss(CudaContext& context, const KernelCall& call, const TensorView& statistics) {
  const int64_t ranks = statistics.type.shape[0];
  const int64_t rows = statistics.type.elements() / std::max<int64_t>(1, ranks * kStatistics);
  if (statistics.type.dtype == DType::f64)
    return lossAs(context, call, statistics.as<double>(), ranks, rows);
  lossAs(context, call, statistics.as<float>(), ranks, rows);
}

void crossEntropyGradient(CudaContext& context, const KernelCall& call,
                          const TensorView& statistics) {
  device::withElement(*call.op, call.forwardInput(0)->type.dtype, [&](auto element) {
    using T = decltype(element);
    gradientAs<T>(context, call, statistics.as<Compute<T>>(), statistics.type.shape[0]);
  });
}

namespace device {

void crossEntropy(CudaContext& context, const KernelCall& call) {
  withElement(*call.op, call.inputs[0].type.dtype, [&](auto element) {
    using T = decltype(element);
    using A = Compute<T>;
    const int64_t rows = call.inputs[1].type.elements();
    auto* statistics =
        static_cast<A*>(context.scratch(rows * kStatistics * static_cast<int64_t>(sizeof(A))));
    statisticsAs<T>(context, call, statistics);
    lossAs<A>(context, call, statistics, 1, rows);
  });
}

void crossEntropyGradient(CudaContext& context, const KernelCall& call) {
  withElement(*call.op, call.forwardInput(0)->type.dtype,
              [&](auto element) { gradientAs<decltype(element)>(context, call, nullptr, 1); });
}

}  // namespace device
}  // namespace meshplan
