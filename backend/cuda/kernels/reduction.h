// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "backend/cuda/kernels/exponentials.h"

/// Reductions of x[outer, reduced, inner] to y[outer, inner], by rules of how numbers join. Parts
/// of long lines are joined first, then the parts, in a fixed order.
namespace meshplan::device {

template <class A>
struct SumRule {
  A total = 0;
  __device__ void add(A x) { total += x; }
  __device__ void join(const SumRule& other) { total += other.total; }
  __device__ A result(A) const { return total; }
};
template <class A>
struct MeanRule : SumRule<A> {
  __device__ A result(A count) const { return this->total / count; }
};
template <class A>
struct MagnitudeRule : SumRule<A> {
  __device__ void add(A x) { this->total += x < 0 ? -x : x; }
};
template <class A>
struct SquareRule : SumRule<A> {
  __device__ void add(A x) { this->total += x * x; }
};
template <class A>
struct NormRule : SquareRule<A> {
  __device__ A result(A) const { return std::sqrt(this->total); }
};
template <class A>
struct LogSumRule : SumRule<A> {
  __device__ A result(A) const { return std::log(this->total); }
};
template <class A>
struct ProductRule {
  A total = 1;
  __device__ void add(A x) { total *= x; }
  __device__ void join(const ProductRule& other) { total *= other.total; }
  __device__ A result(A) const { return total; }
};
/// NaN if one is.
template <class A>
struct MaximumRule {
  A total = -kInfinity<A>;
  __device__ void add(A x) { total = total > x || total != total ? total : x; }
  __device__ void join(const MaximumRule& other) { add(other.total); }
  __device__ A result(A) const { return total; }
};
template <class A>
struct MinimumRule {
  A total = kInfinity<A>;
  __device__ void add(A x) { total = total < x || total != total ? total : x; }
  __device__ void join(const MinimumRule& other) { add(other.total); }
  __device__ A result(A) const { return total; }
};
template <class A>
struct LogSumExpRule {
  Exponentials<A> exponentials;
  __device__ void add(A x) { exponentials.add(Pack<A, 1>{{x}}); }
  __device__ void join(const LogSumExpRule& other) {
    exponentials.merge(other.exponentials.most, other.exponentials.sum);
  }
  __device__ A result(A) const { return exponentials.most + std::log(exponentials.sum); }
};

struct ReducedShape {
  int64_t outer = 1, reduced = 1, inner = 1, parts = 1;

  int64_t results() const { return outer * inner; }
  /// Of element i of x.
  __device__ int64_t result(int64_t i) const {
    return inner == 1 ? i / reduced : i / (reduced * inner) * inner + i % inner;
  }
};

/// Dense lines: one block per line and part.
template <class T, class Rule>
__global__ void __launch_bounds__(kThreadsPerBlock)
    reduceRowsKernel(ReducedShape s, const T* __restrict__ x, Rule* __restrict__ totals) {
  MESHPLAN_DYNAMIC_SHARED(Rule, ofThreads);
  const int64_t row = blockIdx.x / s.parts, part = blockIdx.x % s.parts;
  const int64_t begin = s.reduced * part / s.parts, end = s.reduced * (part + 1) / s.parts;
  const T* from = x + row * s.reduced + begin;
  Rule own;
  forRow(from, end - begin, [&](int64_t at, auto width) {
    constexpr int kWidth = decltype(width)::value;
    const auto v = load<T, kWidth>(from + at);
    for (int k = 0; k < kWidth; ++k) own.add(v.at[k]);
  });
  const int thread = static_cast<int>(threadIdx.x);
  ofThreads[thread] = own;
  __syncthreads();
  for (int step = kThreadsPerBlock / 2; step > 0; step /= 2) {
    if (thread < step) ofThreads[thread].join(ofThreads[thread + step]);
    __syncthreads();
  }
  if (thread == 0) totals[blockIdx.x] = ofThreads[0];
}

/// Lines whose elements lie apart: one thread per line and part, neighbours beside each other.
template <class T, class Rule>
struct ReduceColumns {
  ReducedShape s;
  const T* x;
  Rule* totals;

  __device__ void operator()(int64_t i) const {
    const int64_t line = i % s.inner, part = i / s.inner % s.parts, outer = i / s.inner / s.parts;
    const int64_t begin = s.reduced * part / s.parts, end = s.reduced * (part + 1) / s.parts;
    Rule own;
    for (int64_t r = begin; r < end; ++r)
      own.add(Compute<T>(x[(outer * s.reduced + r) * s.inner + line]));
    totals[(outer * s.inner + line) * s.parts + part] = own;
  }
};

template <class T, class Rule>
struct JoinParts {
  ReducedShape s;
  const Rule* totals;
  Compute<T> count;
  T* y;

  __device__ void operator()(int64_t i) const {
    Rule sum = totals[i * s.parts];
    for (int64_t p = 1; p < s.parts; ++p) sum.join(totals[i * s.parts + p]);
    y[i] = T(sum.result(count));
  }
};

/// `count` is how many elements of the whole tensor each result stands for.
template <class T, class Rule>
void reduce(CudaContext& context, ReducedShape s, const T* x, double count, T* y) {
  const int64_t lines = s.results(), threads = s.inner == 1 ? lines * kThreadsPerBlock : lines;
  const int64_t wanted = int64_t{context.multiprocessors()} * 2048;
  const int64_t shortest = s.inner == 1 ? kThreadsPerBlock * 16 : 32;
  s.parts = std::clamp<int64_t>(
      std::min(wanted / std::max<int64_t>(threads, 1), s.reduced / shortest), 1, 256);
  auto* totals =
      static_cast<Rule*>(context.scratch(lines * s.parts * static_cast<int64_t>(sizeof(Rule))));
  if (s.inner == 1)
    launch(context, lines * s.parts, kThreadsPerBlock,
           kThreadsPerBlock * static_cast<int64_t>(sizeof(Rule)), reduceRowsKernel<T, Rule>, s, x,
           totals);
  else
    forEach(context, lines * s.parts, ReduceColumns<T, Rule>{s, x, totals});
  forEach(context, lines, JoinParts<T, Rule>{s, totals, static_cast<Compute<T>>(count), y});
}

}  // namespace meshplan::device
