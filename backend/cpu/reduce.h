// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <type_traits>

#include "backend/cpu/element.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/reduction_plan.h"
#include "backend/cpu/simd.h"

namespace meshplan {

/// One line of neighbours in memory into one value: R::start<A>(), R::map(A), R::join(A, A). In 16
/// lanes, so that the order does not depend on the instruction set.
template <class R, class A, class T>
MESHPLAN_SIMD A reduceLine(const T* __restrict x, int64_t count) {
  constexpr int64_t kLanes = 16;
  A lanes[kLanes];
  for (int64_t l = 0; l < kLanes; ++l) lanes[l] = R::template start<A>();
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int64_t l = 0; l < kLanes; ++l)
      lanes[l] = R::join(lanes[l], R::map(static_cast<A>(x[i + l])));
  A total = R::template start<A>();
  for (int64_t l = 0; l < kLanes; ++l) total = R::join(total, lanes[l]);
  for (; i < count; ++i) total = R::join(total, R::map(static_cast<A>(x[i])));
  return total;
}

template <class R, class A, class T>
MESHPLAN_SIMD void joinColumns(A* __restrict sums, const T* __restrict x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) sums[i] = R::join(sums[i], R::map(static_cast<A>(x[i])));
}

template <class R, class A, class T, class Store>
void reduceRows(const CpuContext& context, const ReductionPlan& plan, const T* from,
                Store&& store) {
  const std::vector<int64_t> results = fromPlaces(plan.kept), places = toPlaces(plan.kept);
  StridedBox outer = plan.reduced;
  int64_t run = 1, stride = 1;
  if (!outer.extents.empty()) {
    run = outer.extents.back();
    stride = outer.from.back();
    outer.extents.pop_back();
    outer.from.pop_back();
    outer.to.pop_back();
  }
  const std::vector<int64_t> lines = fromPlaces(outer);
  parallelRanges(context, plan.keptCount, plan.reducedCount, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      A total = R::template start<A>();
      for (const int64_t line : lines) {
        const T* at = from + results[static_cast<size_t>(k)] + line;
        if (stride == 1) {
          total = R::join(total, reduceLine<R, A>(at, run));
          continue;
        }
        for (int64_t i = 0; i < run; ++i)
          total = R::join(total, R::map(static_cast<A>(at[i * stride])));
      }
      store(places[static_cast<size_t>(k)], &total, 1);
    }
  });
}

template <class R, class A, class T, class Store>
void reduceColumns(const CpuContext& context, const ReductionPlan& plan, const T* from,
                   Store&& store) {
  constexpr int64_t kColumns = 256;
  StridedBox outer = plan.kept;
  const int64_t width = outer.extents.back(), toStride = outer.to.back();
  outer.extents.pop_back();
  outer.from.pop_back();
  outer.to.pop_back();
  const std::vector<int64_t> results = fromPlaces(outer), places = toPlaces(outer);
  const std::vector<int64_t> lines = fromPlaces(plan.reduced);
  const int64_t even = ceilDiv(ceilDiv(width, int64_t{context.threads()}), 16) * 16;
  const int64_t block = std::min(kColumns, even), blocks = ceilDiv(width, block);
  const auto count = static_cast<int64_t>(results.size()) * blocks;
  parallelRanges(context, count, plan.reducedCount * block, [&](int64_t begin, int64_t end) {
    A totals[kColumns];
    for (int64_t b = begin; b < end; ++b) {
      const auto outerAt = static_cast<size_t>(b / blocks);
      const int64_t first = b % blocks * block, n = std::min(block, width - first);
      std::fill_n(totals, n, R::template start<A>());
      for (const int64_t line : lines)
        joinColumns<R>(totals, from + results[outerAt] + first + line, n);
      if (toStride == 1) {
        store(places[outerAt] + first, totals, n);
        continue;
      }
      for (int64_t i = 0; i < n; ++i)
        store(places[outerAt] + (first + i) * toStride, totals + i, 1);
    }
  });
}

/// Reduces elements of type T in type A and hands results over: store(place in `to`, const A*
/// values, int64_t count) for neighbouring places, from several threads.
template <class R, class A, class T, class Store>
void reduceBox(const CpuContext& context, const StridedBox& box, const T* from, Store&& store) {
  const ReductionPlan plan(box);
  if (plan.keptCount == 0) return;
  if (plan.columns)
    reduceColumns<R, A>(context, plan, from, store);
  else
    reduceRows<R, A>(context, plan, from, store);
}

struct Summation {
  template <class A>
  static MESHPLAN_INLINE A start() {
    return A{};
  }
  template <class A>
  static MESHPLAN_INLINE A map(A x) {
    return x;
  }
  template <class A>
  static MESHPLAN_INLINE A join(A a, A b) {
    return a + b;
  }
};

}  // namespace meshplan
