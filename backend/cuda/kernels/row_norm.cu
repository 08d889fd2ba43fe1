// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/row_norm.cpp.
// Bound by bandwidth: forward reads and writes each element once, the gradient of the input reads
// two and writes one, those of scale and shift read the two again.
#include "backend/cuda/cuda_kernels.h"
#include "backend/cuda/kernels/column_sums.h"
#include "backend/cuda/kernels/rows.h"

namespace meshplan {
namespace {

using device::blockSum;
using device::Compute;
using device::HeldRow;
using device::kPack;
using device::Pack;

template <class A>
struct Moments {
  A mean, rstd;
};

template <class T, class S>
struct RowNorm {
  int64_t f;
  Compute<T> epsilon;
  bool centred;
  const S *scale, *shift;  // shift may be null

  template <int N, bool kAligned>
  __device__ Pack<Compute<T>, N> factors(const S* from, int64_t at) const {
    Pack<Compute<S>, N> read;
    if constexpr (kAligned)
      read = device::load<S, N>(from + at);
    else
      read = device::loadEach<S, N>(from + at);
    return read;
  }
};

template <class T, class S, int kPacks>
__device__ Moments<Compute<T>> momentsOf(const RowNorm<T, S>& norm, const T* from,
                                         const HeldRow<T, kPacks>& row) {
  using A = Compute<T>;
  A mean = 0, squares = 0;
  if (norm.centred) {
    row.walk(from, norm.f, [&](int64_t at, auto width, int p) {
      constexpr int kWidth = decltype(width)::value;
      const auto x = row.template get<kWidth>(at, p);
      for (int k = 0; k < kWidth; ++k) mean += x.at[k];
    });
    mean = blockSum(mean) / static_cast<A>(norm.f);
  }
  row.walk(from, norm.f, [&](int64_t at, auto width, int p) {
    constexpr int kWidth = decltype(width)::value;
    const auto x = row.template get<kWidth>(at, p);
    for (int k = 0; k < kWidth; ++k) squares += (x.at[k] - mean) * (x.at[k] - mean);
  });
  squares = blockSum(squares) / static_cast<A>(norm.f);
  return {mean, device::inverseRoot(squares + norm.epsilon)};
}

template <class T, class S, int kPacks>
__global__ void __launch_bounds__(HeldRow<T, kPacks>::kThreads)
    normaliseKernel(RowNorm<T, S> norm, const T* __restrict__ x, T* __restrict__ y) {
  const int64_t first = int64_t{blockIdx.x} * norm.f;
  const HeldRow<T, kPacks> row(x + first, norm.f);
  const auto m = momentsOf(norm, x + first, row);
  row.walk(x + first, norm.f, [&](int64_t at, auto width, int p) {
    constexpr int kWidth = decltype(width)::value;
    auto v = row.template get<kWidth>(at, p);
    const auto scale = norm.template factors<kWidth, (kPacks > 0)>(norm.scale, at);
    for (int k = 0; k < kWidth; ++k) v.at[k] = (v.at[k] - m.mean) * m.rstd * scale.at[k];
    if (norm.shift) {
      const auto shift = norm.template factors<kWidth, (kPacks > 0)>(norm.shift, at);
      for (int k = 0; k < kWidth; ++k) v.at[k] += shift.at[k];
    }
    device::store<T, kWidth>(y + first + at, v);
  });
}

/// Moments go to where the sums for scale and shift find them; either result may be unwanted.
template <class T, class S, int kPacks>
__global__ void __launch_bounds__(HeldRow<T, kPacks>::kThreads)
    inputGradientKernel(RowNorm<T, S> norm, const T* __restrict__ x, const T* __restrict__ dy,
                        T* __restrict__ dx, bool accumulate, Moments<Compute<T>>* moments) {
  using A = Compute<T>;
  const int64_t first = int64_t{blockIdx.x} * norm.f;
  const HeldRow<T, kPacks> row(x + first, norm.f);
  const auto m = momentsOf(norm, x + first, row);
  if (moments && threadIdx.x == 0) moments[blockIdx.x] = m;
  if (!dx) return;
  const HeldRow<T, kPacks> gradient(dy + first, norm.f);
  A sum = 0, product = 0;
  const auto scaled = [&](int64_t at, auto width, int p) {
    constexpr int kWidth = decltype(width)::value;
    auto g = gradient.template get<kWidth>(at, p);
    const auto scale = norm.template factors<kWidth, (kPacks > 0)>(norm.scale, at);
    for (int k = 0; k < kWidth; ++k) g.at[k] *= scale.at[k];
    return g;
  };
  row.walk(x + first, norm.f, [&](int64_t at, auto width, int p) {
    constexpr int kWidth = decltype(width)::value;
    const auto v = row.template get<kWidth>(at, p), g = scaled(at, width, p);
    for (int k = 0; k < kWidth; ++k) {
      sum += g.at[k];
      product += g.at[k] * (v.at[k] - m.mean);
    }
  });
  const A offset = norm.centred ? blockSum(sum) / static_cast<A>(norm.f) : A(0);
  const A slope = blockSum(product) * m.rstd * m.rstd / static_cast<A>(norm.f);
  row.walk(x + first, norm.f, [&](int64_t at, auto width, int p) {
    constexpr int kWidth = decltype(width)::value;
    const auto v = row.template get<kWidth>(at, p);
    auto g = scaled(at, width, p);
    T* to = dx + first + at;
    for (int k = 0; k < kWidth; ++k)
      g.at[k] = m.rstd * (g.at[k] - offset - (v.at[k] - m.mean) * slope);
    if (accumulate) {
      const auto old = device::load<T, kWidth>(to);
      for (int k = 0; k < kWidth; ++k) g.at[k] += old.at[k];
    }
    device::store<T, kWidth>(to, g);
  });
}

/// Columns of dy times the normalised input, and of dy.
template <class T, int N>
struct ScaleColumns {
  using A = Compute<T>;
  static constexpr int kWidth = N, kSums = 2;
  const T *x, *dy;
  const Moments<A>* moments;
  int64_t f;

  __device__ void add(int64_t row, int64_t column, A (&sums)[kSums][kWidth]) const {
    const auto m = moments[row];
    const auto v = device::load<T, N>(x + row * f + column);
    const auto g = device::load<T, N>(dy + row * f + column);
    for (int k = 0; k < N; ++k) {
      sums[0][k] += g.at[k] * ((v.at[k] - m.mean) * m.rstd);
      sums[1][k] += g.at[k];
    }
  }
};

struct Rows {
  int64_t rows, f;

  Rows(const KernelCall& call, const Shape& x) {
    const int64_t axis = call.op->attributes.getInt("axis", -1);
    const auto rank = static_cast<int64_t>(x.size());
    f = elementCount(Shape(x.begin() + (axis < 0 ? axis + rank : axis), x.end()));
    rows = f == 0 ? 0 : elementCount(x) / f;
  }
};

template <class T, class S>
RowNorm<T, S> normOf(const KernelCall& call, const Rows& r, bool centred, const TensorView& scale,
                     const TensorView* shift) {
  const double epsilon = call.op->attributes.getFloat("epsilon", 1e-5);
  return {r.f, static_cast<Compute<T>>(epsilon), centred, scale.as<S>(),
          shift ? shift->as<S>() : nullptr};
}

/// Calls f(element of x, element of scale): its own type, or fp32.
template <class F>
void withScale(const KernelCall& call, const TensorView& x, const TensorView& scale, F f) {
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    if (scale.type.dtype == x.type.dtype) return f(element, element);
    f(element, Compute<T>{});
  });
}

void forward(CudaContext& context, const KernelCall& call, bool centred) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0], &scale = call.inputs[1];
  const Rows r(call, x.type.shape);
  withScale(call, x, scale, [&](auto element, auto factor) {
    using T = decltype(element);
    using S = decltype(factor);
    const auto norm =
        normOf<T, S>(call, r, centred, scale, call.inputs.size() > 2 ? &call.inputs[2] : nullptr);
    device::withHeldRows<T>(r.f, [&](auto packs, int threads) {
      launch(context, r.rows, threads, 0, normaliseKernel<T, S, decltype(packs)::value>, norm,
             x.as<T>(), static_cast<T*>(y.data));
    });
  });
}

template <class T>
void scaleGradients(CudaContext& context, const KernelCall& call, const Rows& r,
                    const Moments<Compute<T>>* moments) {
  size_t at[2] = {};
  const TensorView* wanted[] = {call.inputGradient(1, &at[0]), call.inputGradient(2, &at[1])};
  TensorView targets[2];
  bool accumulate[2] = {};
  for (size_t i = 0; i < 2; ++i)
    if (wanted[i]) {
      targets[i] = *wanted[i];
      accumulate[i] = call.accumulates(at[i]);
    }
  const T *x = call.forwardInput(0)->as<T>(), *dy = call.outputGradient(0)->as<T>();
  const auto sum = [&](auto source) {
    device::columnSums(context, *call.op, source, 1, r.rows, r.f, targets, accumulate);
  };
  if (r.f % kPack<T> == 0)
    sum(ScaleColumns<T, kPack<T>>{x, dy, moments, r.f});
  else
    sum(ScaleColumns<T, 1>{x, dy, moments, r.f});
}

void backward(CudaContext& context, const KernelCall& call, bool centred) {
  const TensorView &x = *call.forwardInput(0), &dy = *call.outputGradient(0);
  const Rows r(call, dy.type.shape);
  size_t output = 0;
  const TensorView* dx = call.inputGradient(0, &output);
  const bool scales = call.inputGradient(1) || call.inputGradient(2);
  // Without a gradient of x the scale is not read, and need not be there.
  const TensorView& scale = call.forwardInput(1) ? *call.forwardInput(1) : x;
  withScale(call, x, scale, [&](auto element, auto factor) {
    using T = decltype(element);
    using S = decltype(factor);
    using M = Moments<Compute<T>>;
    const auto norm = normOf<T, S>(call, r, centred, scale, nullptr);
    M* moments = scales ? static_cast<M*>(context.scratch(r.rows * int64_t{sizeof(M)})) : nullptr;
    device::withHeldRows<T>(r.f, [&](auto packs, int threads) {
      launch(context, r.rows, threads, 0, inputGradientKernel<T, S, decltype(packs)::value>, norm,
             x.as<T>(), dy.as<T>(), dx ? static_cast<T*>(dx->data) : nullptr,
             call.accumulates(output), moments);
    });
    if (scales) scaleGradients<T>(context, call, r, moments);
  });
}

/// Scales of every feature, of the activations' type or of the one they are computed in.
bool takes(const KernelCall& call) {
  const TensorView& x = call.isGradient() ? *call.outputGradient(0) : call.inputs[0];
  const int64_t f = Rows(call, x.type.shape).f;
  const auto fits = [&](const TensorView* scale) {
    return !scale || (scale->type.elements() == f &&
                      (scale->type.dtype == x.type.dtype ||
                       (scale->type.dtype == DType::f32 && x.type.dtype != DType::f64)));
  };
  if (call.isGradient()) {
    const TensorView *dScale = call.inputGradient(1), *dShift = call.inputGradient(2);
    return fits(call.forwardInput(1)) && (!dScale || dScale->type.elements() == f) &&
           (!dShift || dShift->type.elements() == f);
  }
  return fits(&call.inputs[1]) && (call.inputs.size() < 3 || fits(&call.inputs[2])) &&
         (call.inputs.size() < 3 || call.inputs[2].type.dtype == call.inputs[1].type.dtype);
}

void layerNorm(CudaContext& context, const KernelCall& call) {
  forward(context, call, true);
}
void layerNormGradient(CudaContext& context, const KernelCall& call) {
  backward(context, call, true);
}
void rmsNorm(CudaContext& context, const KernelCall& call) {
  forward(context, call, false);
}
void rmsNormGradient(CudaContext& context, const KernelCall& call) {
  backward(context, call, false);
}

constexpr CudaKernels kKernels[] = {
    {"LayerNormalization", layerNorm, layerNormGradient, true, takes},
    {"RMSNormalization", rmsNorm, rmsNormGradient, true, takes},
};

}  // namespace

std::span<const CudaKernels> cudaRowNormKernels() {
  return kKernels;
}

}  // namespace meshplan
