// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "backend/cuda/kernels/element.h"
#include "backend/cuda/kernels/launch.h"
#include "backend/cuda/kernels/reduce.h"
#include "backend/cuda/row_sums.h"

/// Sums over the rows of [groups, rows, n], in two stages where there are many rows: blocks sum
/// parts of them, then the parts are summed. Bound by the bandwidth of one read.
namespace meshplan::device {

inline constexpr int kSumWarps = kThreadsPerBlock / kWarp;

/// A matrix as it is, `kWidth` neighbouring columns at a time.
template <class T, class Sum, int N>
struct PlainColumns {
  using A = Sum;
  static constexpr int kWidth = N, kSums = 1;
  const T* from;
  int64_t n;

  __device__ void add(int64_t row, int64_t column, A (&sums)[kSums][kWidth]) const {
    const auto pack = *reinterpret_cast<const Pack<T, N>*>(from + row * n + column);
    for (int k = 0; k < N; ++k) sums[0][k] += A(pack.at[k]);
  }
};

struct ColumnSumSizes {
  int64_t groups, rows, n, parts, columnBlocks;
};

/// sum s of group g and part p goes to to[s][(g * parts + p) * n].
template <class Out, int kSums>
struct ColumnSumTargets {
  Out* to[kSums];
  bool accumulate[kSums];
};

/// A block's threads of one warp own neighbouring columns; its warps take turns with the rows.
template <class Source, class Out>
__global__ void __launch_bounds__(kThreadsPerBlock)
    columnSumsKernel(Source source, ColumnSumSizes sizes,
                     ColumnSumTargets<Out, Source::kSums> targets) {
  using A = typename Source::A;
  constexpr int kWidth = Source::kWidth, kColumns = kWidth * kWarp, kSums = Source::kSums;
  __shared__ A ofWarps[kSumWarps][kColumns];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t block = blockIdx.x;
  const int64_t first = block % sizes.columnBlocks * kColumns, column = first + lane * kWidth;
  const int64_t part = block / sizes.columnBlocks % sizes.parts;
  const int64_t group = block / sizes.columnBlocks / sizes.parts;
  const int64_t begin = sizes.rows * part / sizes.parts;
  const int64_t end = sizes.rows * (part + 1) / sizes.parts;
  A sums[kSums][kWidth] = {};
  if (column < sizes.n)
    for (int64_t row = begin + warp; row < end; row += kSumWarps)
      source.add(group * sizes.rows + row, column, sums);
  for (int s = 0; s < kSums; ++s) {
    for (int k = 0; k < kWidth; ++k) ofWarps[warp][lane * kWidth + k] = sums[s][k];
    __syncthreads();
    for (int c = static_cast<int>(threadIdx.x); c < kColumns; c += kThreadsPerBlock) {
      if (!targets.to[s] || first + c >= sizes.n) continue;
      Out& out = targets.to[s][(group * sizes.parts + part) * sizes.n + first + c];
      A sum = targets.accumulate[s] ? A(out) : A(0);
      for (int w = 0; w < kSumWarps; ++w) sum += ofWarps[w][c];
      out = Out(static_cast<Compute<Out>>(sum));
    }
    __syncthreads();
  }
}

/// At most so many parts that the machine is full and each has rows enough to pay for its sums.
inline ColumnSumSizes columnSumSizes(const CudaContext& context, int64_t groups, int64_t rows,
                                     int64_t n, int width) {
  const int64_t columnBlocks = ceilDiv(n, width * kWarp);
  const int64_t wanted =
      ceilDiv(int64_t{context.multiprocessors()} * 8, std::max<int64_t>(1, groups * columnBlocks));
  const int64_t parts = std::clamp<int64_t>(std::min(wanted, rows / 64), 1, 256);
  return {groups, rows, n, parts, columnBlocks};
}

template <class Source, class Out>
void launchColumnSums(CudaContext& context, const Source& source, const ColumnSumSizes& sizes,
                      const ColumnSumTargets<Out, Source::kSums>& targets) {
  launch(context, sizes.columnBlocks * sizes.parts * sizes.groups, kThreadsPerBlock, 0,
         columnSumsKernel<Source, Out>, source, sizes, targets);
}

/// Sums of `source` over [groups, rows, n], each to where `targets` says, of any floating dtype; a
/// view without data is left out.
template <class Source>
void columnSums(CudaContext& context, const Operator& op, const Source& source, int64_t groups,
                int64_t rows, int64_t n, const TensorView (&targets)[Source::kSums],
                const bool (&accumulate)[Source::kSums]) {
  using A = typename Source::A;
  const ColumnSumSizes sizes = columnSumSizes(context, groups, rows, n, Source::kWidth);
  if constexpr (Source::kSums == 1) {
    if (sizes.parts == 1)
      return withElement(op, targets[0].type.dtype, [&](auto element) {
        launchColumnSums<Source, decltype(element)>(
            context, source, sizes,
            {{static_cast<decltype(element)*>(targets[0].data)}, {accumulate[0]}});
      });
  }
  const int64_t partial = groups * sizes.parts * n;
  A* const sums = static_cast<A*>(
      context.scratch(partial * Source::kSums * static_cast<int64_t>(sizeof(A)), kRowSums));
  ColumnSumTargets<A, Source::kSums> partials = {};
  for (int s = 0; s < Source::kSums; ++s)
    partials.to[s] = targets[s].data ? sums + s * partial : nullptr;
  launchColumnSums(context, source, sizes, partials);
  for (int s = 0; s < Source::kSums; ++s) {
    if (!targets[s].data) continue;
    using Partial = PlainColumns<A, A, 1>;
    withElement(op, targets[s].type.dtype, [&](auto element) {
      using Out = decltype(element);
      launchColumnSums<Partial, Out>(context, {sums + s * partial, n},
                                     {groups, sizes.parts, n, 1, ceilDiv(n, kWarp)},
                                     {{static_cast<Out*>(targets[s].data)}, {accumulate[s]}});
    });
  }
}

}  // namespace meshplan::device
