// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <utility>

#include "backend/cuda/cuda_context.h"

/// extern __shared__ memory of a kernel, as an array of T.
#ifndef MESHPLAN_DYNAMIC_SHARED
#define MESHPLAN_DYNAMIC_SHARED(T, name)                           \
  extern __shared__ __align__(128) unsigned char meshplanShared[]; \
  T* name = reinterpret_cast<T*>(meshplanShared)
#endif

/// In front of a loop of constant length whose values must stay in registers.
#ifdef __CUDACC__
#define MESHPLAN_UNROLL _Pragma("unroll")
#else
#define MESHPLAN_UNROLL
#endif

/// In front of a loop: several rounds at once, so that loads of one do not wait for the others'.
#ifdef __CUDACC__
#define MESHPLAN_PRAGMA(text) _Pragma(#text)
#define MESHPLAN_UNROLL_BY(rounds) MESHPLAN_PRAGMA(unroll rounds)
#else
#define MESHPLAN_UNROLL_BY(rounds)
#endif

/// How kernels are started. Kernels see blockDim.x threads per block in one dimension.
namespace meshplan {

inline constexpr int kThreadsPerBlock = 256;

/// Runs `kernel` over `blocks` blocks on the stream in use; nothing when there are none.
template <class... Parameters, class... Arguments>
void launch(CudaContext& context, int64_t blocks, int threads, int64_t sharedBytes,
            void (*kernel)(Parameters...), Arguments&&... arguments) {
  if (blocks <= 0) return;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<size_t>(sharedBytes);
  config.stream = context.stream();
  context.check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...),
                "a kernel launch");
}

namespace device {

template <class F>
__global__ void __launch_bounds__(kThreadsPerBlock) forEachKernel(int64_t count, F f) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) f(i);
}

}  // namespace device

/// Calls f(i), a __device__ operator() of a functor that is copied to the GPU, for i < count.
template <class F>
void forEach(CudaContext& context, int64_t count, const F& f) {
  // Enough blocks to fill the machine twice over its 8 resident ones, then each does more.
  const int64_t most = int64_t{context.multiprocessors()} * 16;
  const int64_t blocks = (count + kThreadsPerBlock - 1) / kThreadsPerBlock;
  launch(context, std::min(blocks, most), kThreadsPerBlock, 0, device::forEachKernel<F>, count, f);
}

}  // namespace meshplan
