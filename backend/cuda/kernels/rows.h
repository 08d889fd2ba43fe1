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

/// Threads of a block for a row of n elements: each has up to `packs` packs of 16 bytes, if 1024
/// threads are enough for that.
template <class T>
int threadsForRow(int64_t n, int packs) {
  const int64_t threads = ceilDiv(n, int64_t{kPack<T>} * packs);
  return static_cast<int>(std::clamp<int64_t>(ceilDiv(threads, kWarp) * kWarp, kWarp, 1024));
}

}  // namespace meshplan::device
