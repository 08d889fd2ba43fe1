// SPDX-License-Identifier: Apache-2.0
#pragma once

// CUDA C++ on the processor: what kernels may write. One block after another, its threads as
// fibers that change at barriers and shuffles. Launches are those of cudaLaunchKernelEx.

#include <cmath>
#include <cstring>
#include <tuple>
#include <type_traits>

#include "tests/cuda_emulation/cuda_runtime_api.h"
#include "tests/cuda_emulation/emulator.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __shared__ static thread_local

inline thread_local uint3 threadIdx, blockIdx;  // of the running thread
inline thread_local dim3 blockDim, gridDim;
constexpr int warpSize = 32;

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) {
  return {x, y};
}
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}
inline uint2 make_uint2(unsigned x, unsigned y) {
  return {x, y};
}
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
  return {x, y, z, w};
}

inline void __syncthreads() {
  ::meshplan::emulation::blockBarrier();
}
inline void __syncwarp(unsigned mask = ~0u) {
  ::meshplan::emulation::warpBarrier(mask);
}
inline void __threadfence() {}

template <class T>
T __shfl_sync(unsigned mask, T value, int lane) {
  static_assert(sizeof(T) <= 8);
  T result;
  const uint64_t bits = ::meshplan::emulation::exchange(
      mask,
      [&] {
        uint64_t b = 0;
        std::memcpy(&b, &value, sizeof(T));
        return b;
      }(),
      lane & 31);
  std::memcpy(&result, &bits, sizeof(T));
  return result;
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes) {
  return __shfl_sync(mask, value, ::meshplan::emulation::lane() ^ lanes);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by) {
  const int lane = ::meshplan::emulation::lane(), from = lane + static_cast<int>(by);
  return __shfl_sync(mask, value, from > 31 ? lane : from);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by) {
  const int lane = ::meshplan::emulation::lane(), from = lane - static_cast<int>(by);
  return __shfl_sync(mask, value, from < 0 ? lane : from);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  unsigned votes = 0;
  for (int lane = 0; lane < 32; ++lane)
    if (mask >> lane & 1) votes |= unsigned(__shfl_sync(mask, predicate, lane) != 0) << lane;
  return votes;
}

template <class T>
T atomicAdd(T* to, std::type_identity_t<T> value) {
  const T old = *to;
  *to = old + value;
  return old;
}
template <class T>
T atomicMax(T* to, std::type_identity_t<T> value) {
  const T old = *to;
  if (value > old) *to = value;
  return old;
}

template <class T>
T __ldg(const T* from) {
  return *from;
}
template <class T>
T __ldcs(const T* from) {
  return *from;
}
template <class T>
void __stcs(T* to, const T& value) {
  *to = value;
}
inline float rsqrtf(float x) {
  return 1.f / std::sqrt(x);
}
inline double rsqrt(double x) {
  return 1. / std::sqrt(x);
}

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  std::tuple<Parameters...> kept(static_cast<Parameters>(arguments)...);
  return ::meshplan::emulation::enqueueKernel(*config,
                                              [kernel, kept] { std::apply(kernel, kept); });
}
template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel, cudaFuncAttribute, int) {
  return cudaSuccess;
}
