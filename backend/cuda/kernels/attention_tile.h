// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/kernels/element.h"
#include "backend/cuda/kernels/launch.h"

/// Products of tiles without tensor cores: 256 threads hold kSide x kSide results, thread (y, x) of
/// 16 x 16 those of rows y + 16 i and columns x + 16 j.
namespace meshplan::device {

/// `count` rows of a dense matrix of `columns` columns.
template <class T>
struct Matrix {
  const T* data;
  int count, columns;
};
template <class T>
__device__ Matrix<T> rowsFrom(const T* data, int first, int rows, int columns) {
  return {data + int64_t{first} * columns, rows - first, columns};
}

template <class C>
struct Tile {
  static constexpr int kEach = sizeof(C) == 8 ? 2 : 4;
  static constexpr int kSide = 16 * kEach;
  static constexpr int kSlice = 32;
  static constexpr int kPitch = kSide + 1, kSlicePitch = kSlice + 1;

  /// A tile of factors, and slices of two operands or a tile of one.
  C factors[kSide * kPitch];
  C operands[2 * kSide * kSlicePitch];
  static_assert(kSide * kPitch <= 2 * kSide * kSlicePitch);

  struct Values {
    C at[kEach][kEach] = {};
  };

  static __device__ int y(int i) { return int(threadIdx.x) / 16 + 16 * i; }
  static __device__ int x(int j) { return int(threadIdx.x) % 16 + 16 * j; }

  /// Calls f(i, j) for the results of the thread.
  template <class F>
  static __device__ void forEach(F f) {
    MESHPLAN_UNROLL
    for (int e = 0; e < kEach * kEach; ++e) f(e / kEach, e % kEach);
  }

  template <class T>
  static __device__ void load(const Matrix<T>& from, int k, C* to) {
    for (int e = int(threadIdx.x); e < kSide * kSlice; e += kThreadsPerBlock) {
      const int i = e / kSlice, c = e % kSlice;
      const bool inside = i < from.count && k + c < from.columns;
      to[i * kSlicePitch + c] = inside ? C(from.data[int64_t{i} * from.columns + k + c]) : C(0);
    }
  }

  /// values += a b^T over all columns. Begins and ends where all threads are.
  template <class A, class B>
  __device__ void addProduct(const Matrix<A>& a, const Matrix<B>& b, Values& values) {
    C *const left = operands, *const right = operands + kSide * kSlicePitch;
    for (int k = 0; k < a.columns; k += kSlice) {
      load(a, k, left);
      load(b, k, right);
      __syncthreads();
      for (int c = 0; c < kSlice; ++c) {
        C l[kEach], r[kEach];
        MESHPLAN_UNROLL
        for (int i = 0; i < kEach; ++i) l[i] = left[y(i) * kSlicePitch + c];
        MESHPLAN_UNROLL
        for (int j = 0; j < kEach; ++j) r[j] = right[x(j) * kSlicePitch + c];
        forEach([&](int i, int j) { values.at[i][j] += l[i] * r[j]; });
      }
      __syncthreads();
    }
  }

  /// values += factors m, columns [first, first + kSide) of m. Begins and ends where all threads
  /// are.
  __device__ void putFactors(const Values& f) {
    forEach([&](int i, int j) { factors[y(i) * kPitch + x(j)] = f.at[i][j]; });
  }
  template <class T>
  __device__ void addFactorsTimes(const Matrix<T>& m, int first, Values& values) {
    for (int e = int(threadIdx.x); e < kSide * kSide; e += kThreadsPerBlock) {
      const int i = e / kSide, c = e % kSide;
      const bool inside = i < m.count && first + c < m.columns;
      operands[i * kPitch + c] = inside ? C(m.data[int64_t{i} * m.columns + first + c]) : C(0);
    }
    __syncthreads();
    for (int k = 0; k < kSide; ++k) {
      C l[kEach], r[kEach];
      MESHPLAN_UNROLL
      for (int i = 0; i < kEach; ++i) l[i] = factors[y(i) * kPitch + k];
      MESHPLAN_UNROLL
      for (int j = 0; j < kEach; ++j) r[j] = operands[k * kPitch + x(j)];
      forEach([&](int i, int j) { values.at[i][j] += l[i] * r[j]; });
    }
    __syncthreads();
  }
};

/// Over the 16 threads that hold one row.
template <class C>
__device__ C rowMaximum(C value) {
  for (int lanes = 8; lanes > 0; lanes /= 2) {
    const C other = __shfl_xor_sync(~0u, value, lanes);
    value = other > value ? other : value;
  }
  return value;
}
template <class C>
__device__ C rowSum(C value) {
  for (int lanes = 8; lanes > 0; lanes /= 2) value += __shfl_xor_sync(~0u, value, lanes);
  return value;
}

/// Element `at` of a gradient of either type.
template <class T, class C>
__device__ void storeGradient(void* to, bool wide, int64_t at, C value) {
  if (wide)
    static_cast<C*>(to)[at] = value;
  else
    static_cast<T*>(to)[at] = T(value);
}

}  // namespace meshplan::device
