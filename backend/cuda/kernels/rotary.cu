// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/rotary.cpp. Bound by bandwidth.
#include "backend/cpu/rotation.h"
#include "backend/cuda/elementwise_tables.h"
#include "backend/cuda/kernels/convert.h"
#include "backend/cuda/kernels/divisor.h"
#include "backend/cuda/kernels/element.h"
#include "backend/cuda/kernels/launch.h"

namespace meshplan {
namespace {

using device::Compute;
using device::Divisor;
using device::kPack;
using device::Pack;

constexpr int kAnglesPurpose = 112;

/// Cosines and sines per position and pair, from fp64 as on the processor.
template <class A>
struct Angles {
  Rotation rotation;
  Divisor pairs;
  A *cosines, *sines;

  __device__ void operator()(int64_t i) const {
    const int64_t s = pairs.quotient(i), j = i - s * pairs.by();
    const double angle = static_cast<double>(rotation.begin + s) * rotation.speed(j);
    cosines[i] = static_cast<A>(std::cos(angle));
    sines[i] = static_cast<A>(std::sin(angle));
  }
};

template <class A>
MESHPLAN_INLINE void turn(A& a, A& b, A cosine, A sine) {
  const A turned = a * cosine - b * sine;
  b = a * sine + b * cosine;
  a = turned;
}

/// N neighbours, or N neighbouring pairs of features half a head apart, at a time. The first units
/// of a head copy what is not rotated.
template <class T, int N>
struct RotateHalves {
  const T* x;
  T* y;
  const Compute<T>*cosines, *sines;
  Compute<T> direction;
  int64_t dim, still, pairs;
  Divisor units, positions;  // units of a head

  __device__ void operator()(int64_t i) const {
    using A = Compute<T>;
    const int64_t head = units.quotient(i), begin = (i - head * units.by()) * N;
    const T* from = x + head * dim + begin;
    T* to = y + head * dim + begin;
    auto low = *reinterpret_cast<const Pack<T, N>*>(from);
    if (begin < still) {
      *reinterpret_cast<Pack<T, N>*>(to) = low;
      return;
    }
    auto high = *reinterpret_cast<const Pack<T, N>*>(from + pairs);
    const int64_t position = head - positions.quotient(head) * positions.by();
    const int64_t angle = position * pairs + begin - still;
    A c[N] = {}, s[N] = {};
    device::LoadElements<N>::template run<A>(cosines, angle, N, c);
    device::LoadElements<N>::template run<A>(sines, angle, N, s);
    for (int k = 0; k < N; ++k) {
      A a = A(low.at[k]), b = A(high.at[k]);
      turn(a, b, c[k], direction * s[k]);
      low.at[k] = T(a);
      high.at[k] = T(b);
    }
    *reinterpret_cast<Pack<T, N>*>(to) = low;
    *reinterpret_cast<Pack<T, N>*>(to + pairs) = high;
  }
};

/// Pairs of neighbours, one at a time.
template <class T>
struct RotateNeighbours {
  const T* x;
  T* y;
  const Compute<T>*cosines, *sines;
  Compute<T> direction;
  int64_t still, pairs;
  Divisor units, positions;

  __device__ void operator()(int64_t i) const {
    using A = Compute<T>;
    const int64_t head = units.quotient(i), begin = (i - head * units.by()) * 2;
    auto pair = reinterpret_cast<const Pack<T, 2>*>(x)[i];
    if (begin >= still) {
      const int64_t position = head - positions.quotient(head) * positions.by();
      const int64_t angle = position * pairs + (begin - still) / 2;
      A a = A(pair.at[0]), b = A(pair.at[1]);
      turn(a, b, cosines[angle], direction * sines[angle]);
      pair = {{T(a), T(b)}};
    }
    reinterpret_cast<Pack<T, 2>*>(y)[i] = pair;
  }
};

template <class T>
struct Rotated {
  CudaContext& context;
  const Rotation& rotation;
  const TensorView &x, &y;
  Compute<T> direction;
  const Compute<T>*cosines = nullptr, *sines = nullptr;

  const int64_t heads = x.type.elements() / rotation.dim;
  const int64_t pairs = rotation.rotated / 2, still = rotation.dim - rotation.rotated;
  const Divisor positions{std::max<int64_t>(1, rotation.positions)};

  void prepare() {
    using A = Compute<T>;
    const int64_t count = rotation.positions * pairs;
    A* table = static_cast<A*>(
        context.scratch(2 * count * static_cast<int64_t>(sizeof(A)), kAnglesPurpose));
    forEach(context, count, Angles<A>{rotation, Divisor(pairs), table, table + count});
    cosines = table;
    sines = table + count;
  }

  template <int N>
  void halves() {
    const int64_t units = (still + pairs) / N;
    forEach(context, heads * units,
            RotateHalves<T, N>{x.as<T>(), y.as<T>(), cosines, sines, direction, rotation.dim, still,
                               pairs, Divisor(units), positions});
  }

  void run() {
    if (heads == 0) return;
    prepare();
    if (rotation.interleaved)
      return forEach(context, heads * rotation.dim / 2,
                     RotateNeighbours<T>{x.as<T>(), y.as<T>(), cosines, sines, direction, still,
                                         pairs, Divisor(rotation.dim / 2), positions});
    if ((still | pairs) % kPack<T> == 0) return halves<kPack<T>>();
    halves<1>();
  }
};

void rotate(CudaContext& context, const KernelCall& call, const TensorView& x, const TensorView& y,
            double direction) {
  const Rotation rotation(call, x.type.shape);
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    Rotated<T>{context, rotation, x, y, static_cast<Compute<T>>(direction)}.run();
  });
}

void forward(CudaContext& context, const KernelCall& call) {
  rotate(context, call, call.inputs[0], call.outputs[0], 1);
}
void backward(CudaContext& context, const KernelCall& call) {
  rotate(context, call, *call.outputGradient(0), *call.inputGradient(0), -1);
}

/// Neighbours are moved together, so heads have an even number of features.
bool takes(const KernelCall& call) {
  const TensorType& y = call.outputs[0].type;
  return call.inputs[0].type.dtype == y.dtype && y.shape.size() == 4 && y.shape[3] % 2 == 0;
}

constexpr CudaKernels kKernels[] = {{"Rotary", forward, backward, false, takes}};

}  // namespace

std::span<const CudaKernels> cudaRotaryKernels() {
  return kKernels;
}

}  // namespace meshplan
