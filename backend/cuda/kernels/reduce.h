// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>

#include "backend/cpu/simd.h"
#include "backend/cuda/kernels/element.h"
#include "backend/cuda/kernels/launch.h"

/// Reductions of the threads of a warp and of a block, whose size is a multiple of 32. Every thread
/// gets the same bits: butterflies add the same pairs on both sides.
namespace meshplan::device {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

template <class A>
inline constexpr A kInfinity = std::numeric_limits<A>::infinity();

struct Plus {
  template <class A>
  __device__ A operator()(A a, A b) const {
    return a + b;
  }
};
/// NaN only where both are, or the first is.
struct Larger {
  template <class A>
  __device__ A operator()(A a, A b) const {
    return b > a ? b : a;
  }
};

/// e^x, on a GPU by its unit for exponentials: within 2 + |x| / 2^24 units (CUDA C++ Programming
/// Guide, "Intrinsic Functions", __expf).
__device__ inline float fastExp(float x) {
#ifdef __CUDA_ARCH__
  return __expf(x);
#else
  return simd::exp(x);
#endif
}
__device__ inline double fastExp(double x) {
  return exp(x);
}

__device__ inline float inverseRoot(float x) {
  return rsqrtf(x);
}
__device__ inline double inverseRoot(double x) {
  return rsqrt(x);
}

template <class A, class Op>
__device__ A warpReduce(A value, Op op) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2)
    value = op(value, __shfl_xor_sync(kAllLanes, value, lanes));
  return value;
}

/// `neutral` stands for threads that are not there.
template <class A, class Op>
__device__ A blockReduce(A value, A neutral, Op op) {
  __shared__ A ofWarps[kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  value = warpReduce(value, op);
  if (warps == 1) return value;
  if (lane == 0) ofWarps[warp] = value;
  __syncthreads();
  value = warpReduce(lane < warps ? ofWarps[lane] : neutral, op);
  __syncthreads();  // the next reduction writes there
  return value;
}
template <class A>
__device__ A blockSum(A value) {
  return blockReduce(value, A(0), Plus{});
}
template <class A>
__device__ A blockMax(A value) {
  return blockReduce(value, -kInfinity<A>, Larger{});
}

}  // namespace meshplan::device
