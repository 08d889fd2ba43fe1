// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/reduce.cpp. Bound by bandwidth.
#include "backend/cpu/reduction_plan.h"
#include "backend/cuda/box_kernels.h"
#include "backend/cuda/kernels/box_layout.h"
#include "backend/cuda/kernels/convert.h"
#include "backend/cuda/kernels/launch.h"

namespace meshplan {
namespace {

using device::BoxLayout;
using device::Compute;

constexpr int kWarp = 32, kPurpose = 48;

/// Where a sum goes: to its place, or, of several slices of what is added, beside.
template <class A>
struct SumTarget {
  DType type;
  void* to;
  A factor;
  A* partial;  // [slices, sums]; null where there is one slice
  int64_t sums;

  __device__ void store(int64_t slice, int64_t sum, int64_t place, A value) const {
    if (partial)
      partial[slice * sums + sum] = value;
    else
      device::storeElement<A>(type, to, place, value * factor);
  }
};

struct SumLayout {
  BoxLayout kept, reduced;
  int64_t perSlice;
  int slices;
};

/// A warp per sum and slice; V neighbours of what is added at a time.
template <int V, class T, class A>
__global__ void __launch_bounds__(kThreadsPerBlock)
    sumRowsKernel(SumLayout layout, const T* from, SumTarget<A> target) {
  const int64_t warp = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (warp >= layout.kept.count * layout.slices) return;
  const int64_t slice = warp / layout.kept.count, sum = warp - slice * layout.kept.count;
  const int64_t begin = slice * layout.perSlice;
  const int64_t end = std::min(layout.reduced.count, begin + layout.perSlice);
  int64_t fromAt, toAt;
  layout.kept.places(sum, fromAt, toAt);
  A sums[V] = {};
  MESHPLAN_UNROLL_BY(4)
  for (int64_t i = begin + lane; i < end; i += kWarp) {
    int64_t at, nowhere;
    layout.reduced.places(i, at, nowhere);
    const auto pack = reinterpret_cast<const device::Pack<T, V>*>(from)[(fromAt + at) / V];
    for (int v = 0; v < V; ++v) sums[v] += static_cast<A>(pack.at[v]);
  }
  A total = sums[0];
  for (int v = 1; v < V; ++v) total += sums[v];
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) total += __shfl_xor_sync(~0u, total, lanes);
  if (lane == 0) target.store(slice, sum, toAt, total);
}

/// Sums that lie beside each other: V of them by each of `lanes` threads, what is added by the
/// others of the block, a power of two as well.
template <int V, class T, class A>
__global__ void __launch_bounds__(kThreadsPerBlock)
    sumColumnsKernel(SumLayout layout, int lanes, device::Divisor groups, const T* from,
                     SumTarget<A> target) {
  __shared__ A shared[kThreadsPerBlock * V];
  const int thread = static_cast<int>(threadIdx.x), lane = thread % lanes, line = thread / lanes;
  const int lines = kThreadsPerBlock / lanes;
  const int64_t slice = groups.quotient(blockIdx.x);
  const int64_t sum = ((blockIdx.x - slice * groups.by()) * lanes + lane) * V;
  const int64_t begin = slice * layout.perSlice;
  const int64_t end = std::min(layout.reduced.count, begin + layout.perSlice);
  int64_t fromAt = 0, toAt = 0;
  A sums[V] = {};
  if (sum < layout.kept.count) {
    layout.kept.places(sum, fromAt, toAt);
    MESHPLAN_UNROLL_BY(4)
    for (int64_t i = begin + line; i < end; i += lines) {
      int64_t at, nowhere;
      layout.reduced.places(i, at, nowhere);
      const auto pack = reinterpret_cast<const device::Pack<T, V>*>(from)[(fromAt + at) / V];
      for (int v = 0; v < V; ++v) sums[v] += static_cast<A>(pack.at[v]);
    }
  }
  for (int v = 0; v < V; ++v) shared[v * kThreadsPerBlock + thread] = sums[v];
  for (int half = lines / 2; half > 0; half /= 2) {
    __syncthreads();
    if (line < half)
      for (int v = 0; v < V; ++v)
        shared[v * kThreadsPerBlock + thread] +=
            shared[v * kThreadsPerBlock + thread + half * lanes];
  }
  if (line > 0 || sum >= layout.kept.count) return;
  for (int v = 0; v < V; ++v) {
    layout.kept.places(sum + v, fromAt, toAt);
    target.store(slice, sum + v, toAt, shared[v * kThreadsPerBlock + thread]);
  }
}

template <class A>
struct SumSlices {
  BoxLayout kept;
  SumTarget<A> target;
  int slices;

  __device__ void operator()(int64_t sum) const {
    int64_t fromAt, toAt;
    kept.places(sum, fromAt, toAt);
    A total = target.partial[sum];
    for (int s = 1; s < slices; ++s) total += target.partial[s * target.sums + sum];
    device::storeElement<A>(target.type, target.to, toAt, total * target.factor);
  }
};

/// Whether V neighbours are read at once: along `run`, everything else in steps of V.
template <int V, class T>
bool goesInPacks(const StridedBox& run, const StridedBox& other, const T* from) {
  if (run.extents.empty() || run.from.back() != 1) return false;
  int64_t parts = run.extents.back() | run.fromOffset | other.fromOffset;
  for (size_t d = 0; d + 1 < run.extents.size(); ++d) parts |= run.from[d];
  for (const int64_t stride : other.from) parts |= stride;
  return parts % V == 0 && reinterpret_cast<uintptr_t>(from) % (V * sizeof(T)) == 0;
}

/// The innermost dimension in steps of V elements, of which it has V times fewer.
StridedBox inPacks(StridedBox box, int64_t v) {
  if (v == 1) return box;
  box.extents.back() /= v;
  box.from.back() *= v;
  return box;
}

template <class T, class A>
struct Summed {
  CudaContext& context;
  const ReductionPlan& plan;
  const T* from;
  SumTarget<A> target;

  static constexpr int kWide = 8 / static_cast<int>(sizeof(T));

  /// Splits what is added until the machine is full, down to `least` additions.
  SumLayout sliced(int64_t reduced, int64_t blocks, int64_t least) {
    constexpr int64_t kMost = 256;
    const int64_t wanted = int64_t{context.multiprocessors()} * 8;
    const int64_t most = std::min(kMost, std::max<int64_t>(1, reduced / least));
    const int64_t slices = std::clamp<int64_t>((wanted + blocks - 1) / blocks, 1, most);
    SumLayout layout;
    layout.perSlice = std::max<int64_t>(1, (reduced + slices - 1) / slices);
    layout.slices =
        static_cast<int>(std::max<int64_t>(1, (reduced + layout.perSlice - 1) / layout.perSlice));
    if (layout.slices > 1)
      target.partial = static_cast<A*>(context.scratch(
          layout.slices * plan.keptCount * static_cast<int64_t>(sizeof(A)), kPurpose));
    return layout;
  }

  template <int V>
  void rows() {
    constexpr int kWarps = kThreadsPerBlock / kWarp;
    const StridedBox reduced = inPacks(plan.reduced, V);
    SumLayout layout = sliced(plan.reducedCount / V, (plan.keptCount + kWarps - 1) / kWarps, 256);
    layout.kept = BoxLayout(plan.kept);
    layout.reduced = BoxLayout(reduced);
    const int64_t warps = plan.keptCount * layout.slices;
    launch(context, (warps + kWarps - 1) / kWarps, kThreadsPerBlock, 0, sumRowsKernel<V, T, A>,
           layout, from, target);
    finish(layout);
  }

  template <int V>
  void columns() {
    const int64_t packs = plan.keptCount / V;
    int lanes = kWarp;
    while (lanes > 1 && lanes / 2 >= packs) lanes /= 2;
    while (lanes < kThreadsPerBlock && lanes < packs &&
           plan.reducedCount < kThreadsPerBlock / lanes)
      lanes *= 2;
    const int64_t groups = (packs + lanes - 1) / lanes;
    SumLayout layout = sliced(plan.reducedCount, groups, 4 * kThreadsPerBlock / lanes);
    layout.kept = BoxLayout(plan.kept);
    layout.reduced = BoxLayout(plan.reduced);
    launch(context, groups * layout.slices, kThreadsPerBlock, 0, sumColumnsKernel<V, T, A>, layout,
           lanes, device::Divisor(groups), from, target);
    finish(layout);
  }

  void finish(const SumLayout& layout) {
    if (layout.slices > 1)
      forEach(context, plan.keptCount, SumSlices<A>{layout.kept, target, layout.slices});
  }

  void run() {
    if (plan.columns) {
      if (goesInPacks<kWide>(plan.kept, plan.reduced, from)) return columns<kWide>();
      return columns<1>();
    }
    if (goesInPacks<kWide>(plan.reduced, plan.kept, from)) return rows<kWide>();
    rows<1>();
  }
};

}  // namespace

void sumBox(CudaContext& context, const StridedBox& box, const TensorView& from,
            const TensorView& to, double factor) {
  const ReductionPlan plan(box);
  if (plan.keptCount == 0) return;
  const auto sum = [&](auto element) {
    using T = decltype(element);
    using A = Compute<T>;
    const SumTarget<A> target{to.type.dtype, to.data, static_cast<A>(factor), nullptr,
                              plan.keptCount};
    Summed<T, A>{context, plan, from.as<T>(), target}.run();
  };
  switch (from.type.dtype) {
    case DType::f64:
      return sum(double{});
    case DType::f32:
    case DType::tf32:
      return sum(float{});
    case DType::bf16:
      return sum(BFloat16{});
    case DType::f16:
      return sum(Half{});
    default:
      throw Error(ErrorKind::runtime,
                  "the GPU does not sum elements of " + std::string(dtypeName(from.type.dtype)));
  }
}

}  // namespace meshplan
