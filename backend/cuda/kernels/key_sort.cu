// SPDX-License-Identifier: Apache-2.0
// CPU reference: none; std::stable_sort.
// A radix sort as in Satish, Harris and Garland, Designing efficient sorting algorithms for
// manycore GPUs (2009): blocks count their digits, a scan over digits and blocks says where each
// block's go.
#include "backend/cuda/kernels/key_sort.h"

#include <utility>

#include "backend/cuda/kernels/launch.h"
#include "backend/cuda/kernels/reduce.h"
#include "core/units.h"

namespace meshplan::device {
namespace {

constexpr int kDigits = 256;
static_assert(kDigits == kThreadsPerBlock);

struct Keys {
  const int32_t *keys, *places;  // no places: each key's own
  int64_t count;
  int shift;

  /// -1 behind the end.
  __device__ int digit(int64_t i) const {
    return i < count ? keys[i] >> shift & (kDigits - 1) : -1;
  }
};

/// counts[digit][block]
__global__ void __launch_bounds__(kThreadsPerBlock) countKernel(Keys from, int32_t* counts) {
  __shared__ int digits[kThreadsPerBlock];
  const int own = static_cast<int>(threadIdx.x);
  digits[own] = from.digit(int64_t{blockIdx.x} * kThreadsPerBlock + own);
  __syncthreads();
  int32_t sum = 0;
  for (int i = 0; i < kThreadsPerBlock; ++i) sum += digits[i] == own;
  counts[int64_t{own} * gridDim.x + blockIdx.x] = sum;
}

/// Replaces counts by the sums of those before; one block.
__global__ void __launch_bounds__(1024) scanKernel(int32_t* counts, int64_t n) {
  __shared__ int32_t ofThreads[1024];
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const int64_t begin = n * thread / threads, end = n * (thread + 1) / threads;
  int32_t sum = 0;
  for (int64_t i = begin; i < end; ++i) sum += counts[i];
  ofThreads[thread] = sum;
  __syncthreads();
  for (int step = 1; step < threads; step *= 2) {
    const int32_t other = thread >= step ? ofThreads[thread - step] : 0;
    __syncthreads();
    ofThreads[thread] += other;
    __syncthreads();
  }
  int32_t before = ofThreads[thread] - sum;
  for (int64_t i = begin; i < end; ++i) {
    const int32_t own = counts[i];
    counts[i] = before;
    before += own;
  }
}

__global__ void __launch_bounds__(kThreadsPerBlock)
    scatterKernel(Keys from, const int32_t* starts, int32_t* keys, int32_t* places) {
  __shared__ int digits[kThreadsPerBlock];
  const int own = static_cast<int>(threadIdx.x);
  const int64_t i = int64_t{blockIdx.x} * kThreadsPerBlock + own;
  const int digit = from.digit(i);
  digits[own] = digit;
  __syncthreads();
  if (digit < 0) return;
  int32_t to = starts[int64_t{digit} * gridDim.x + blockIdx.x];
  for (int k = 0; k < own; ++k) to += digits[k] == digit;
  keys[to] = from.keys[i];
  places[to] = from.places ? from.places[i] : static_cast<int32_t>(i);
}

}  // namespace

int64_t sortBytes(int64_t count) {
  return int64_t{sizeof(int32_t)} * (3 * count + kDigits * ceilDiv(count, kThreadsPerBlock));
}

SortedKeys sortKeys(CudaContext& context, int32_t* keys, int64_t count, int64_t largest,
                    void* memory) {
  const int64_t blocks = ceilDiv(count, kThreadsPerBlock);
  auto* otherKeys = static_cast<int32_t*>(memory);
  int32_t *places = otherKeys + count, *otherPlaces = places + count;
  int32_t* counts = otherPlaces + count;
  const int32_t* known = nullptr;
  for (int shift = 0; shift == 0 || largest >> shift > 0; shift += 8) {
    const Keys from{keys, known, count, shift};
    launch(context, blocks, kThreadsPerBlock, 0, countKernel, from, counts);
    launch(context, 1, 1024, 0, scanKernel, counts, kDigits * blocks);
    launch(context, blocks, kThreadsPerBlock, 0, scatterKernel, from, counts, otherKeys, places);
    std::swap(keys, otherKeys);
    known = places;
    std::swap(places, otherPlaces);
  }
  return {keys, known};
}

}  // namespace meshplan::device
