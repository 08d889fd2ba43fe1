// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <type_traits>

#include "backend/cuda/kernels/element.h"
#include "backend/cuda/kernels/reduce.h"

/// Rows of memory that one block walks.
namespace meshplan::device {

template <int N>
using Width = std::integral_constant<int, N>;

/// N elements from `from` on, which is aligned to their size together.
template <class T, int N>
__device__ Pack<Compute<T>, N> load(const T* from) {
  const auto raw = *reinterpret_cast<const Pack<T, N>*>(from);
  Pack<Compute<T>, N> wide;
  for (int k = 0; k < N; ++k) wide.at[k] = Compute<T>(raw.at[k]);
  return wide;
}
template <class T, int N>
__device__ void store(T* to, const Pack<Compute<T>, N>& wide) {
  Pack<T, N> raw;
  for (int k = 0; k < N; ++k) raw.at[k] = T(wide.at[k]);
  *reinterpret_cast<Pack<T, N>*>(to) = raw;
}

/// Calls f(index, Width<N>) for the n elements from `row` on, in packs of 16 bytes but for those
/// before the first and behind the last that are aligned. The block's threads take turns.
template <class T, class F>
__device__ void forRow(const T* row, int64_t n, F f) {
  constexpr int kWide = kPack<T>;
  const int64_t place = static_cast<int64_t>(reinterpret_cast<uintptr_t>(row) / sizeof(T));
  const int64_t before = (kWide - place % kWide) % kWide, head = before < n ? before : n;
  const int64_t packs = (n - head) / kWide, tail = head + packs * kWide, i = threadIdx.x;
  if (i < head) f(i, Width<1>{});
  for (int64_t p = i; p < packs; p += blockDim.x) f(head + p * kWide, Width<kWide>{});
  if (tail + i < n) f(tail + i, Width<1>{});
}

/// Threads of a block for a row of n elements: each has up to `packs` packs of 16 bytes, if `most`
/// threads are enough for that.
template <class T>
int threadsForRow(int64_t n, int packs, int most = 1024) {
  const int64_t threads = ceilDiv(n, int64_t{kPack<T>} * packs);
  return static_cast<int>(std::clamp<int64_t>(ceilDiv(threads, kWarp) * kWarp, kWarp, most));
}

/// A row that a block reads once and holds in registers, up to kPacks packs per thread; with
/// kPacks = 0, for rows that are too long or not made of whole packs, one that it reads anew.
template <class T, int kPacks>
class HeldRow {
 public:
  using A = Compute<T>;
  static constexpr int kThreads = kPacks > 1 ? 512 : 1024;

  __device__ HeldRow(const T* row, int64_t n) : row_(row) {
    walk(row, n, [&](int64_t at, auto width, int p) {
      if constexpr (kPacks > 0) packs_[p] = load<T, decltype(width)::value>(row + at);
    });
  }

  /// Calls f(index, Width<N>, p) for what the thread has of a row of n elements.
  template <class F>
  static __device__ void walk(const T* row, int64_t n, F f) {
    if constexpr (kPacks == 0) {
      forRow(row, n, [&](int64_t at, auto width) { f(at, width, 0); });
    } else {
      MESHPLAN_UNROLL
      for (int p = 0; p < kPacks; ++p) {
        const int64_t at = (int64_t{p} * blockDim.x + threadIdx.x) * kPack<T>;
        if (at < n) f(at, Width<kPack<T>>{}, p);
      }
    }
  }
  template <int N>
  __device__ Pack<A, N> get(int64_t at, int p) const {
    if constexpr (kPacks == 0)
      return load<T, N>(row_ + at);
    else
      return packs_[p];
  }

 private:
  const T* row_;
  Pack<A, kPack<T>> packs_[kPacks > 0 ? kPacks : 1] = {};
};

/// Calls f(Width<kPacks>, threads) for rows of n elements of T.
template <class T, class F>
void withHeldRows(int64_t n, F f) {
  const bool whole = n % kPack<T> == 0;
  if (whole && n <= int64_t{HeldRow<T, 1>::kThreads} * kPack<T>)
    return f(Width<1>{}, threadsForRow<T>(n, 1));
  if (whole && n <= int64_t{HeldRow<T, 4>::kThreads} * kPack<T> * 4)
    return f(Width<4>{}, threadsForRow<T>(n, 4, HeldRow<T, 4>::kThreads));
  f(Width<0>{}, threadsForRow<T>(n, 8));
}

/// N elements of any alignment.
template <class T, int N>
__device__ Pack<Compute<T>, N> loadEach(const T* from) {
  Pack<Compute<T>, N> wide;
  for (int k = 0; k < N; ++k) wide.at[k] = Compute<T>(from[k]);
  return wide;
}

}  // namespace meshplan::device
