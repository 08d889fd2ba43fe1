// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/moe.cpp. Bound by bandwidth. Slots are given out by sorting the pairs
// of token and choice by expert, equal ones in their order, so that no result depends on chance.
#include "backend/cuda/kernels/moe_kernels.h"

#include "backend/cuda/kernels/any_floats.h"
#include "backend/cuda/kernels/indices.h"
#include "backend/cuda/kernels/key_sort.h"
#include "backend/cuda/kernels/rows.h"

namespace meshplan {
namespace {

using device::AnyFloats;
using device::AnyFloatTarget;
using device::Compute;
using device::kPack;
using device::kWarp;

/// Sizes of y[experts, slots, h] and of the groups of tokens that share slots.
struct Slots {
  int64_t experts, slots, k, pairs, groups, room;
};

Slots slotsOf(const TensorView& indices, const Shape& y) {
  const Shape& shape = indices.type.shape;
  Slots s{y[0], y[1], shape[2], indices.type.elements(), 1, 0};
  if (shape[0] > 0 && s.slots % shape[0] == 0) s.groups = shape[0];
  s.room = s.slots / s.groups;
  return s;
}

/// Keys number groups, and experts in them; those that do not exist come last.
struct FindKeys {
  Slots s;
  device::Indices experts;
  device::IndexCheck check;
  int32_t* keys;

  __device__ void operator()(int64_t pair) const {
    const int64_t expert = experts[pair], group = pair / (s.pairs / s.groups);
    keys[pair] =
        static_cast<int32_t>(check(expert) ? group * s.experts + expert : s.groups * s.experts);
  }
};

/// The slot of every pair and the pair of every slot, -1 where there is none.
struct Routing {
  int32_t *slotOf, *pairOf;
};

/// A pair's slot in its group is how many with its key come before it.
struct GiveSlots {
  Slots s;
  device::SortedKeys sorted;
  Routing routing;

  __device__ void operator()(int64_t i) const {
    const int32_t key = sorted.keys[i], pair = sorted.places[i];
    int64_t low = 0, high = i;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (sorted.keys[middle] < key)
        low = middle + 1;
      else
        high = middle;
    }
    const int64_t own = i - low;
    const bool fits = own < s.room && key < s.groups * s.experts;
    const int64_t slot = key % s.experts * s.slots + key / s.experts * s.room + own;
    routing.slotOf[pair] = fits ? static_cast<int32_t>(slot) : -1;
    if (fits) routing.pairOf[slot] = pair;
  }
};

Routing routingOf(CudaContext& context, const KernelCall& call, const Slots& s,
                  const TensorView& indices) {
  const int64_t slots = s.experts * s.slots;
  const int64_t numbers = 2 * s.pairs + slots;
  auto* memory = static_cast<int32_t*>(
      context.scratch(numbers * int64_t{sizeof(int32_t)} + device::sortBytes(s.pairs)));
  const Routing routing{memory, memory + s.pairs};
  int32_t* keys = routing.pairOf + slots;
  context.check(cudaMemsetAsync(routing.pairOf, 0xff, static_cast<size_t>(slots) * sizeof(int32_t),
                                context.stream()),
                "cudaMemsetAsync");
  forEach(context, s.pairs,
          FindKeys{s, device::indicesOf(*call.op, indices),
                   device::IndexCheck(context, *call.op, "expert {} is none of the {}", s.experts),
                   keys});
  const auto sorted =
      device::sortKeys(context, keys, s.pairs, s.groups * s.experts, keys + s.pairs);
  forEach(context, s.pairs, GiveSlots{s, sorted, routing});
  return routing;
}

/// y[slot] = weight x x[token], 0 where nobody has the slot; `weights` are read where `weighted`.
template <class T, int N>
struct Scatter {
  const int32_t* pairOf;
  int64_t k, packs;  // per line
  bool weighted;
  AnyFloats weights;
  const T* x;
  T* y;

  __device__ void operator()(int64_t i) const {
    using A = Compute<T>;
    const int64_t pair = pairOf[i / packs];
    device::Pack<A, N> v = {};
    if (pair >= 0) {
      v = device::load<T, N>(x + (pair / k * packs + i % packs) * N);
      if (weighted) {
        const A weight = weights.get<A>(pair);
        for (int n = 0; n < N; ++n) v.at[n] *= weight;
      }
    }
    device::store<T, N>(y + i * N, v);
  }
};

/// x[token] = the sum over choices of weight x y[slot].
template <class T, int N>
struct Gather {
  const int32_t* slotOf;
  int64_t k, packs;
  bool weighted;
  AnyFloats weights;
  const T* y;
  T* x;

  __device__ void operator()(int64_t i) const {
    using A = Compute<T>;
    const int64_t token = i / packs;
    device::Pack<A, N> sum = {};
    for (int64_t pair = token * k; pair < (token + 1) * k; ++pair) {
      const int64_t slot = slotOf[pair];
      if (slot < 0) continue;
      const A weight = weighted ? weights.get<A>(pair) : A(1);
      const auto v = device::load<T, N>(y + (slot * packs + i % packs) * N);
      for (int n = 0; n < N; ++n) sum.at[n] += weight * v.at[n];
    }
    device::store<T, N>(x + i * N, sum);
  }
};

/// dw = the product of the token's gradient and what its slot gave; one warp per pair.
template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock)
    weightGradientKernel(Slots s, const int32_t* slotOf, int64_t h, const T* __restrict__ dx,
                         const T* __restrict__ y, AnyFloatTarget dw) {
  using A = Compute<T>;
  const int64_t pair = (int64_t{blockIdx.x} * kThreadsPerBlock + threadIdx.x) / kWarp;
  if (pair >= s.pairs) return;
  const int64_t lane = threadIdx.x % kWarp, slot = slotOf[pair];
  A sum = 0;
  if (slot >= 0)
    for (int64_t f = lane; f < h; f += kWarp) sum += A(dx[pair / s.k * h + f]) * A(y[slot * h + f]);
  sum = device::warpReduce(sum, device::Plus{});
  if (lane == 0) dw.set(pair, sum);
}

/// Calls f(element, Width<N>): whole packs where lines of h are made of them.
template <class F>
void withLines(const KernelCall& call, const TensorView& view, F f) {
  device::withElement(*call.op, view.type.dtype, [&](auto element) {
    constexpr int kWide = kPack<decltype(element)>;
    if (view.type.shape.back() % kWide == 0) return f(element, device::Width<kWide>{});
    f(element, device::Width<1>{});
  });
}

void scatter(CudaContext& context, const KernelCall& call, const Slots& s, const Routing& routing,
             const TensorView& x, const TensorView* weights, const TensorView& y) {
  withLines(call, x, [&](auto element, auto width) {
    using T = decltype(element);
    constexpr int kWidth = decltype(width)::value;
    forEach(
        context, y.type.elements() / kWidth,
        Scatter<T, kWidth>{routing.pairOf, s.k, y.type.shape[2] / kWidth, weights != nullptr,
                           AnyFloats(weights ? *weights : x), x.as<T>(), static_cast<T*>(y.data)});
  });
}

void gather(CudaContext& context, const KernelCall& call, const Slots& s, const Routing& routing,
            const TensorView& y, const TensorView* weights, const TensorView& x) {
  withLines(call, x, [&](auto element, auto width) {
    using T = decltype(element);
    constexpr int kWidth = decltype(width)::value;
    forEach(
        context, x.type.elements() / kWidth,
        Gather<T, kWidth>{routing.slotOf, s.k, y.type.shape[2] / kWidth, weights != nullptr,
                          AnyFloats(weights ? *weights : y), y.as<T>(), static_cast<T*>(x.data)});
  });
}

void dispatch(CudaContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &indices = call.inputs[1], &y = call.outputs[0];
  const Slots s = slotsOf(indices, y.type.shape);
  scatter(context, call, s, routingOf(context, call, s, indices), x, nullptr, y);
}

void dispatchGradient(CudaContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &indices = *call.forwardInput(1);
  const Slots s = slotsOf(indices, dy.type.shape);
  gather(context, call, s, routingOf(context, call, s, indices), dy, nullptr,
         *call.inputGradient(0));
}

void combine(CudaContext& context, const KernelCall& call) {
  const TensorView &y = call.inputs[0], &indices = call.inputs[2];
  const Slots s = slotsOf(indices, y.type.shape);
  gather(context, call, s, routingOf(context, call, s, indices), y, &call.inputs[1],
         call.outputs[0]);
}

void combineGradient(CudaContext& context, const KernelCall& call) {
  const TensorView &dx = *call.outputGradient(0), &y = *call.forwardInput(0);
  const TensorView &weights = *call.forwardInput(1), &indices = *call.forwardInput(2);
  const Slots s = slotsOf(indices, y.type.shape);
  const Routing routing = routingOf(context, call, s, indices);
  if (const TensorView* dy = call.inputGradient(0))
    scatter(context, call, s, routing, dx, &weights, *dy);
  const TensorView* dw = call.inputGradient(1);
  if (!dw) return;
  device::withElement(*call.op, dx.type.dtype, [&](auto element) {
    using T = decltype(element);
    launch(context, ceilDiv(s.pairs, kThreadsPerBlock / kWarp), kThreadsPerBlock, 0,
           weightGradientKernel<T>, s, routing.slotOf, y.type.shape[2], dx.as<T>(), y.as<T>(),
           AnyFloatTarget(dw));
  });
}

constexpr CudaKernels kKernels[] = {
    {"TopKRouter", device::route, device::routeGradient},
    {"Dispatch", dispatch, dispatchGradient},
    {"Combine", combine, combineGradient},
};

}  // namespace

std::span<const CudaKernels> cudaMoeKernels() {
  return kKernels;
}

}  // namespace meshplan
