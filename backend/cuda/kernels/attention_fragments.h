// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/kernels/launch.h"
#include "backend/cuda/kernels/tensor_core.h"

/// What attention on tensor cores multiplies: tiles of rows in shared memory, and results of a warp
/// in registers.
namespace meshplan::device {

/// Rows of kColumns bf16 or fp16 (64 or 128) in pieces of 16 bytes, swapped so that eight rows of a
/// column of pieces lie in different banks.
template <class T, int kColumns>
struct RowTile {
  static constexpr int kPieces = kColumns / 8;
  T* data;

  __device__ T* at(int row, int piece) const {
    return data + row * kColumns + (piece ^ (row & 7)) * 8;
  }

  /// Starts copies of kRows rows of `columns` elements, with zeros from row `rows` and column
  /// `columns` on.
  template <int kRows, int kThreads>
  __device__ void load(const T* from, int rows, int columns) const {
    MESHPLAN_UNROLL
    for (int i = 0; i < kRows * kPieces / kThreads; ++i) {
      const int e = i * kThreads + int(threadIdx.x), row = e / kPieces, piece = e % kPieces;
      const bool inside = row < rows && piece * 8 < columns;
      copyAsync(at(row, piece), inside ? from + int64_t{row} * columns + piece * 8 : from, inside);
    }
  }
};

/// kTiles x kBlocks results of 16 x 8 elements of one warp.
template <int kTiles, int kBlocks>
struct Results {
  CFragment at[kTiles][kBlocks] = {};

  /// Row and column of element e of [tile][block], from the warp's first.
  static __device__ int row(int tile, int e) {
    return 16 * tile + 8 * (e / 2) + int(threadIdx.x) % 32 / 4;
  }
  static __device__ int column(int block, int e) {
    return 8 * block + 2 * (int(threadIdx.x) % 4) + e % 2;
  }
};

/// results += a b^T: 16 kTiles rows of `a` from `row` on, 8 kBlocks rows of `b`.
template <class T, int kColumns, int kTiles, int kBlocks>
__device__ void addProduct(const RowTile<T, kColumns>& a, int row, const RowTile<T, kColumns>& b,
                           Results<kTiles, kBlocks>& results) {
  const int lane = int(threadIdx.x) % 32;
  MESHPLAN_UNROLL
  for (int k = 0; k < kColumns / 16; ++k) {
    AFragment left[kTiles];
    MESHPLAN_UNROLL
    for (int i = 0; i < kTiles; ++i)
      loadMatrices(left[i], a.at(row + 16 * i + lane % 16, 2 * k + lane / 16));
    MESHPLAN_UNROLL
    for (int n = 0; n < kBlocks; n += 2) {
      uint32_t right[4];
      loadMatrices(right, b.at(8 * n + lane % 8 + lane / 16 * 8, 2 * k + lane / 8 % 2));
      const BFragment first = {right[0], right[1]}, second = {right[2], right[3]};
      MESHPLAN_UNROLL
      for (int i = 0; i < kTiles; ++i) {
        multiplyAdd<T>(results.at[i][n], left[i], first);
        multiplyAdd<T>(results.at[i][n + 1], left[i], second);
      }
    }
  }
}

/// results += factors b, factors rounded to T: 8 kBlocks rows of `b`.
template <class T, int kColumns, int kTiles, int kBlocks>
__device__ void addWeighted(const Results<kTiles, kBlocks>& factors, const RowTile<T, kColumns>& b,
                            Results<kTiles, kColumns / 8>& results) {
  const int lane = int(threadIdx.x) % 32;
  MESHPLAN_UNROLL
  for (int k = 0; k < kBlocks / 2; ++k) {
    AFragment left[kTiles];
    MESHPLAN_UNROLL
    for (int i = 0; i < 4 * kTiles; ++i) {
      const CFragment& from = factors.at[i / 4][2 * k + i % 4 / 2];
      left[i / 4][i % 4] = pair<T>(from[2 * (i % 2)], from[2 * (i % 2) + 1]);
    }
    MESHPLAN_UNROLL
    for (int n = 0; n < kColumns / 8; n += 2) {
      uint32_t right[4];
      loadTransposed(right, b.at(16 * k + lane % 16, n + lane / 16));
      const BFragment first = {right[0], right[1]}, second = {right[2], right[3]};
      MESHPLAN_UNROLL
      for (int i = 0; i < kTiles; ++i) {
        multiplyAdd<T>(results.at[i][n], left[i], first);
        multiplyAdd<T>(results.at[i][n + 1], left[i], second);
      }
    }
  }
}

/// Two neighbours in memory, of T or in fp32.
template <class T>
__device__ void storePair(void* to, bool wide, int64_t at, float first, float second) {
  if (wide)
    *reinterpret_cast<float2*>(static_cast<float*>(to) + at) = make_float2(first, second);
  else
    *reinterpret_cast<uint32_t*>(static_cast<T*>(to) + at) = pair<T>(first, second);
}

/// Rows from `row` on of results, times factor(tile, half), to a matrix of `rows` x `columns`.
template <class T, int kTiles, int kBlocks, class F>
__device__ void storeRows(const Results<kTiles, kBlocks>& results, void* to, bool wide, int row,
                          int rows, int columns, F factor) {
  using R = Results<kTiles, kBlocks>;
  MESHPLAN_UNROLL
  for (int i = 0; i < kTiles * kBlocks * 2; ++i) {
    const int tile = i / (2 * kBlocks), block = i / 2 % kBlocks, h = i % 2;
    const int r = row + R::row(tile, 2 * h), c = R::column(block, 0);
    const float f = factor(tile, h);
    const CFragment& from = results.at[tile][block];
    if (r < rows && c < columns)
      storePair<T>(to, wide, int64_t{r} * columns + c, from[2 * h] * f, from[2 * h + 1] * f);
  }
}

/// Over the four lanes that hold one row.
__device__ __forceinline__ float quadMaximum(float value) {
  value = fmaxf(value, __shfl_xor_sync(~0u, value, 1));
  return fmaxf(value, __shfl_xor_sync(~0u, value, 2));
}
__device__ __forceinline__ float quadSum(float value) {
  value += __shfl_xor_sync(~0u, value, 1);
  return value + __shfl_xor_sync(~0u, value, 2);
}

inline constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;

}  // namespace meshplan::device
