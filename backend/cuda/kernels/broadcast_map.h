// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <vector>

#include "backend/cpu/broadcast_runs.h"
#include "backend/cuda/kernels/divisor.h"
#include "backend/cuda/kernels/element.h"
#include "backend/cuda/kernels/launch.h"

/// out = f(inputs), elementwise with broadcasting, at most 16 bytes of an operand at a time. Bound
/// by bandwidth.
namespace meshplan::device {

/// Where K operands lie that broadcast to `rows` runs of `run` elements: those of a run in packs,
/// the last of which may be shorter.
template <int K>
struct BroadcastLayout {
  static constexpr int kDims = 7;

  BroadcastLayout(const BroadcastRuns& runs, int perPack)
      : run(runs.run),
        packsPerRun(std::max<int64_t>(1, (runs.run + perPack - 1) / perPack)),
        packs(runs.rows * packsPerRun.by()),
        dims(static_cast<int>(runs.extents.size())),
        aligned(runs.rows == 1 || runs.run % perPack == 0) {
    for (int d = 0; d < dims; ++d) {
      const auto from = static_cast<size_t>(d);
      extents[d] = Divisor(runs.extents[from]);
      for (int k = 0; k < K; ++k) strides[k][d] = runs.strides[static_cast<size_t>(k)][from];
    }
    for (int k = 0; k < K; ++k) constant[k] = runs.constant[static_cast<size_t>(k)];
  }

  int64_t run;
  Divisor packsPerRun;
  int64_t packs;
  int dims;
  bool aligned;
  bool constant[K];
  Divisor extents[kDims];
  int64_t strides[K][kDims];
};

template <int N, class A, class T>
MESHPLAN_INLINE void loadPack(const T* from, bool constant, int64_t column, bool whole, int count,
                              A (&values)[N]) {
  if (constant) {
    const A value = static_cast<A>(*from);
    for (int i = 0; i < N; ++i) values[i] = value;
  } else if (whole) {
    const auto pack = *reinterpret_cast<const Pack<T, N>*>(from + column);
    for (int i = 0; i < N; ++i) values[i] = static_cast<A>(pack.at[i]);
  } else {
    for (int i = 0; i < N; ++i) values[i] = i < count ? static_cast<A>(from[column + i]) : A{};
  }
}

template <int N, class A, class T>
MESHPLAN_INLINE void storePack(T* to, bool whole, int count, const A (&values)[N]) {
  if (whole) {
    Pack<T, N> pack;
    for (int i = 0; i < N; ++i) pack.at[i] = static_cast<T>(values[i]);
    *reinterpret_cast<Pack<T, N>*>(to) = pack;
  } else {
    for (int i = 0; i < N; ++i)
      if (i < count) to[i] = static_cast<T>(values[i]);
  }
}

template <int N, class A, class F, class... V>
MESHPLAN_INLINE void applyPack(const F& f, A (&out)[N], const V&... in) {
  for (int i = 0; i < N; ++i) out[i] = f(in[i]...);
}

template <class... T>
constexpr int packOf() {
  return 16 / static_cast<int>(std::max({sizeof(T)...}));
}

template <class T, int K, size_t... I, class A, class F, class Out, class... In>
MESHPLAN_INLINE void mapPack(const F& f, const BroadcastLayout<K>& layout, int64_t p,
                             std::index_sequence<I...>, A, Out* out, const In*... in) {
  constexpr int N = packOf<Out, In...>();
  int64_t row = 0, pack = p, at[K] = {};
  if (layout.dims > 0) {
    row = layout.packsPerRun.quotient(p);
    pack = p - row * layout.packsPerRun.by();
    int64_t rest = row;
    for (int d = layout.dims - 1; d >= 0; --d) {
      const int64_t next = layout.extents[d].quotient(rest);
      const int64_t index = rest - next * layout.extents[d].by();
      rest = next;
      ((at[I] += index * layout.strides[I][d]), ...);
    }
  }
  const int64_t column = pack * N, left = layout.run - column;
  const int count = left < N ? static_cast<int>(left) : N;
  const bool whole = layout.aligned && count == N;
  A values[K][N], results[N];
  (loadPack<N>(in + at[I], layout.constant[I], column, whole, count, values[I]), ...);
  applyPack<N>(f, results, values[I]...);
  storePack<N>(out + row * layout.run + column, whole, count, results);
}

template <class A, class F, class Out, class... In>
__global__ void __launch_bounds__(kThreadsPerBlock)
    mapKernel(F f, BroadcastLayout<static_cast<int>(sizeof...(In))> layout, Out* out,
              const In*... in) {
  constexpr int K = sizeof...(In);
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t p = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; p < layout.packs; p += step)
    mapPack<Out, K>(f, layout, p, std::make_index_sequence<K>{}, A{}, out, in...);
}

}  // namespace meshplan::device

namespace meshplan {

/// f(A...) -> A of a functor, computed in A, over inputs of element types In that broadcast to the
/// shape of `out`, of element type Out. At most nine dimensions.
template <class A, class Out, class... In, class F>
void mapOn(CudaContext& context, const F& f, const TensorView& out,
           const std::array<TensorView, sizeof...(In)>& inputs) {
  constexpr int K = sizeof...(In);
  std::vector<Shape> shapes;
  for (const TensorView& t : inputs) shapes.push_back(t.type.shape);
  const BroadcastRuns runs(out.type.shape, shapes);
  if (runs.rows == 0 || runs.run == 0) return;
  if (runs.extents.size() > device::BroadcastLayout<K>::kDims)
    throw Error(ErrorKind::runtime, "the GPU does not broadcast over so many dimensions",
                "reshape the operands");
  const device::BroadcastLayout<K> layout(runs, device::packOf<Out, In...>());
  const int64_t most = int64_t{context.multiprocessors()} * 16;
  const int64_t blocks = (layout.packs + kThreadsPerBlock - 1) / kThreadsPerBlock;
  [&]<size_t... I>(std::index_sequence<I...>) {
    launch(context, std::min(blocks, most), kThreadsPerBlock, 0,
           device::mapKernel<A, F, Out, In...>, f, layout, out.as<Out>(),
           inputs[I].template as<In>()...);
  }
  (std::make_index_sequence<K>{});
}

}  // namespace meshplan
