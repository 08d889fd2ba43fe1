// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/gated.cpp. Bound by bandwidth.
#include "backend/cpu/axis_ranges.h"
#include "backend/cpu/dropout_rule.h"
#include "backend/cpu/random.h"
#include "backend/cuda/elementwise_tables.h"
#include "backend/cuda/kernels/divisor.h"
#include "backend/cuda/kernels/element.h"
#include "backend/cuda/kernels/launch.h"

namespace meshplan {
namespace {

using device::Compute;
using device::Divisor;
using device::kPack;
using device::Pack;

/// Where elements of a local tensor lie in the whole one (GlobalPlaces): a linear function of the
/// local place while nothing is split.
struct Places {
  static constexpr int kDims = 4;

  Places(const KernelCall& call, const Shape& local) {
    int64_t stride = 1;
    for (size_t d = local.size(); d-- > 0;) {
      const AxisRange range = rangeOf(call, d, local[d]);
      first += range.begin * stride;
      add(local[d], stride);
      stride *= range.whole;
    }
  }

  /// Dimensions merge with those behind them that are whole.
  void add(int64_t extent, int64_t stride) {
    if (dims > 0 && stride == strides[dims - 1] * extents[dims - 1].by()) {
      extents[dims - 1] = Divisor(extents[dims - 1].by() * extent);
    } else if (extent != 1) {
      fits = fits && dims < kDims;
      if (!fits) return;
      extents[dims] = Divisor(std::max<int64_t>(1, extent));
      strides[dims++] = stride;
    }
  }

  MESHPLAN_INLINE uint64_t at(int64_t i) const {
    if (dims == 1) return static_cast<uint64_t>(first + i * strides[0]);
    int64_t place = first;
    for (int d = 0; d < dims; ++d) {
      const int64_t next = extents[d].quotient(i);
      place += (i - next * extents[d].by()) * strides[d];
      i = next;
    }
    return static_cast<uint64_t>(place);
  }

  bool fits = true;
  int dims = 0;
  int64_t first = 0;
  Divisor extents[kDims];
  int64_t strides[kDims] = {};
};

template <class T>
struct Draw {
  const T* x;
  T* y;
  uint8_t* mask;
  int64_t count;
  Places places;
  const uint64_t* seed;
  uint64_t name, drops;
  Compute<T> scale;

  __device__ void operator()(int64_t i) const {
    constexpr int n = kPack<T>;
    const PlacedRandom random(*seed, name);
    const int64_t at = i * n;
    if (at + n > count) {
      for (int64_t k = at; k < count; ++k) {
        mask[k] = random.word(places.at(k)) >= drops;
        y[k] = mask[k] ? T(Compute<T>(x[k]) * scale) : T(Compute<T>(0));
      }
      return;
    }
    auto values = reinterpret_cast<const Pack<T, n>*>(x)[i];
    Pack<uint8_t, n> kept;
    for (int k = 0; k < n; ++k) {
      kept.at[k] = random.word(places.at(at + k)) >= drops;
      values.at[k] = kept.at[k] ? T(Compute<T>(values.at[k]) * scale) : T(Compute<T>(0));
    }
    reinterpret_cast<Pack<uint8_t, n>*>(mask)[i] = kept;
    reinterpret_cast<Pack<T, n>*>(y)[i] = values;
  }
};

template <class T>
struct Apply {
  const T* dy;
  const uint8_t* mask;
  T* dx;
  int64_t count;
  Compute<T> scale;

  __device__ void operator()(int64_t i) const {
    constexpr int n = kPack<T>;
    const int64_t at = i * n;
    if (at + n > count) {
      for (int64_t k = at; k < count; ++k)
        dx[k] = mask[k] ? T(Compute<T>(dy[k]) * scale) : T(Compute<T>(0));
      return;
    }
    auto values = reinterpret_cast<const Pack<T, n>*>(dy)[i];
    const auto kept = reinterpret_cast<const Pack<uint8_t, n>*>(mask)[i];
    for (int k = 0; k < n; ++k)
      values.at[k] = kept.at[k] ? T(Compute<T>(values.at[k]) * scale) : T(Compute<T>(0));
    reinterpret_cast<Pack<T, n>*>(dx)[i] = values;
  }
};

void forward(CudaContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const DropoutRule rule(call);
  const int64_t count = x.type.elements();
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(context, ceilDiv(count, int64_t{kPack<T>}),
            Draw<T>{x.as<T>(), y.as<T>(), call.outputs[1].as<uint8_t>(), count,
                    Places(call, x.type.shape), context.seed(call.seedSlot),
                    PlacedRandom::hashOf(call.op->name), rule.drops,
                    static_cast<Compute<T>>(rule.scale)});
  });
}

void backward(CudaContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  const DropoutRule rule(call);
  const int64_t count = dy.type.elements();
  device::withElement(*call.op, dy.type.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(context, ceilDiv(count, int64_t{kPack<T>}),
            Apply<T>{dy.as<T>(), call.forwardOutput(1)->as<uint8_t>(), dx.as<T>(), count,
                     static_cast<Compute<T>>(rule.scale)});
  });
}

bool takes(const KernelCall& call) {
  const TensorView& x = call.isGradient() ? *call.outputGradient(0) : call.inputs[0];
  return x.type.dtype == call.outputs[0].type.dtype && Places(call, x.type.shape).fits;
}

constexpr CudaKernels kKernels[] = {{"Dropout", forward, backward, false, takes}};

}  // namespace

std::span<const CudaKernels> cudaDropoutKernels() {
  return kKernels;
}

}  // namespace meshplan
