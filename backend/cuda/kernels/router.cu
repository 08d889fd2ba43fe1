// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/moe.cpp (router). One warp per token; bound by the latency of k rounds
// over the logits of a token, which stay in the first-level cache.
#include "backend/cuda/kernels/any_floats.h"
#include "backend/cuda/kernels/moe_kernels.h"
#include "backend/cuda/kernels/reduce.h"

namespace meshplan {
namespace {

using device::AnyFloats;
using device::AnyFloatTarget;
using device::Compute;
using device::fastExp;
using device::kAllLanes;
using device::kInfinity;
using device::kWarp;

template <class T>
struct Router {
  int64_t tokens, experts, k;
  bool corrected;
  const T* logits;
  AnyFloats correction;  // read only where `corrected`

  /// What experts are ordered by; NaN comes last.
  __device__ Compute<T> key(int64_t token, int64_t expert) const {
    using A = Compute<T>;
    const A x = A(logits[token * experts + expert]);
    const A own = corrected ? A(1) / (A(1) + fastExp(-x)) + correction.get<A>(expert) : x;
    return own == own ? own : -kInfinity<A>;
  }
  /// e^(logit - top), or with a correction sigmoid(logit).
  __device__ Compute<T> score(Compute<T> logit, Compute<T> top) const {
    using A = Compute<T>;
    return corrected ? A(1) / (A(1) + fastExp(-logit)) : fastExp(logit - top);
  }
};

/// Larger keys come first, lower indices among equals.
template <class A>
struct Choice {
  A key;
  int index;

  __device__ bool before(const Choice& other) const {
    return key > other.key || (key == other.key && index < other.index);
  }
};

/// The first of the lanes' choices.
template <class A>
__device__ Choice<A> firstOf(Choice<A> own) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) {
    const Choice<A> other{__shfl_xor_sync(kAllLanes, own.key, lanes),
                          __shfl_xor_sync(kAllLanes, own.index, lanes)};
    if (other.before(own)) own = other;
  }
  return own;
}

template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock)
    routeKernel(Router<T> router, AnyFloatTarget weights, int64_t* __restrict__ indices) {
  using A = Compute<T>;
  const int64_t token = (int64_t{blockIdx.x} * kThreadsPerBlock + threadIdx.x) / kWarp;
  if (token >= router.tokens) return;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t experts = router.experts, k = router.k;
  constexpr int kNobody = std::numeric_limits<int>::max();
  Choice<A> last{kInfinity<A>, -1};
  A top = -kInfinity<A>, sum = 0;
  for (int64_t i = 0; i < k; ++i) {
    Choice<A> best{-kInfinity<A>, kNobody};
    for (int64_t e = lane; e < experts; e += kWarp) {
      const Choice<A> own{router.key(token, e), static_cast<int>(e)};
      if (last.before(own) && own.before(best)) best = own;
    }
    last = firstOf(best);
    const A logit = A(router.logits[token * experts + last.index]);
    if (i == 0) top = logit;
    sum += router.score(logit, top);
    if (lane == 0) indices[token * k + i] = last.index;
  }
  __syncwarp();
  for (int64_t i = lane; i < k; i += kWarp) {
    const A logit = A(router.logits[token * experts + indices[token * k + i]]);
    weights.set(token * k + i, router.score(logit, top) / sum);
  }
}

/// w_i = s_i / S, so d s_i = (dw_i - sum_j w_j dw_j) / S; a correction chooses and weighs nothing.
template <class T>
struct RouterGradient {
  Router<T> router;
  const int64_t* indices;
  AnyFloats dw;
  AnyFloatTarget dlogits;

  __device__ void operator()(int64_t token) const {
    using A = Compute<T>;
    const int64_t* chosen = indices + token * router.k;
    const T* x = router.logits + token * router.experts;
    A top = A(x[chosen[0]]), sum = 0, mean = 0;
    for (int64_t i = 1; i < router.k; ++i) top = A(x[chosen[i]]) > top ? A(x[chosen[i]]) : top;
    for (int64_t i = 0; i < router.k; ++i) {
      const A s = router.score(A(x[chosen[i]]), top);
      sum += s;
      mean += dw.get<A>(token * router.k + i) * s;
    }
    mean /= sum;
    for (int64_t i = 0; i < router.k; ++i) {
      const A s = router.score(A(x[chosen[i]]), top);
      const A slope = router.corrected ? s * (A(1) - s) : s;
      dlogits.set(token * router.experts + chosen[i],
                  (dw.get<A>(token * router.k + i) - mean) / sum * slope);
    }
  }
};

void clear(CudaContext& context, const TensorView& view) {
  context.check(
      cudaMemsetAsync(view.data, 0, static_cast<size_t>(view.type.bytes().value), context.stream()),
      "cudaMemsetAsync");
}

}  // namespace

namespace device {

void route(CudaContext& context, const KernelCall& call) {
  const TensorView &logits = call.inputs[0], &weights = call.outputs[0];
  const int64_t experts = logits.type.shape[2], k = weights.type.shape[2];
  const bool corrected = call.inputs.size() == 2;
  withElement(*call.op, logits.type.dtype, [&](auto element) {
    using T = decltype(element);
    const Router<T> router{weights.type.elements() / k,
                           experts,
                           k,
                           corrected,
                           logits.as<T>(),
                           AnyFloats(corrected ? call.inputs[1] : logits)};
    launch(context, ceilDiv(router.tokens, kThreadsPerBlock / kWarp), kThreadsPerBlock, 0,
           routeKernel<T>, router, AnyFloatTarget(&weights), call.outputs[1].as<int64_t>());
  });
}

void routeGradient(CudaContext& context, const KernelCall& call) {
  if (const TensorView* dcorrection = call.inputGradient(1)) clear(context, *dcorrection);
  const TensorView* dlogits = call.inputGradient(0);
  if (!dlogits) return;
  clear(context, *dlogits);
  const TensorView &dw = *call.outputGradient(0), &logits = *call.forwardInput(0);
  const int64_t k = dw.type.shape[2];
  withElement(*call.op, logits.type.dtype, [&](auto element) {
    using T = decltype(element);
    const Router<T> router{dw.type.elements() / k,
                           logits.type.shape[2],
                           k,
                           call.op->attributes.getInt("corrected", 0) != 0,
                           logits.as<T>(),
                           AnyFloats(logits)};
    forEach(context, router.tokens,
            RouterGradient<T>{router, call.forwardOutput(1)->as<int64_t>(), AnyFloats(dw),
                              AnyFloatTarget(dlogits)});
  });
}

}  // namespace device
}  // namespace meshplan
