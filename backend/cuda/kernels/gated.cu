// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/gated.cpp. Bound by bandwidth.
#include "backend/cpu/activations.h"
#include "backend/cpu/unary_table.h"
#include "backend/cuda/elementwise_tables.h"
#include "backend/cuda/kernels/element.h"
#include "backend/cuda/kernels/launch.h"

namespace meshplan {
namespace {

using activation::Parameters;
using device::Compute;
using device::Pack;

/// As many results as 16 bytes of pairs give.
template <class T>
inline constexpr int kResults = device::kPack<T> / 2;

template <class F, class T>
struct GateForward {
  const T* x;
  T* y;
  int64_t count;  // of results

  static MESHPLAN_INLINE T one(T gate, T up) {
    using A = Compute<T>;
    return T(F::forward(A(gate), Parameters<A>{A(1), A(0)}) * A(up));
  }
  __device__ void operator()(int64_t i) const {
    constexpr int n = kResults<T>;
    const int64_t at = i * n;
    if (at + n > count) {
      for (int64_t k = at; k < count; ++k) y[k] = one(x[2 * k], x[2 * k + 1]);
      return;
    }
    const auto in = reinterpret_cast<const Pack<T, 2 * n>*>(x)[i];
    Pack<T, n> out;
    for (int k = 0; k < n; ++k) out.at[k] = one(in.at[2 * k], in.at[2 * k + 1]);
    reinterpret_cast<Pack<T, n>*>(y)[i] = out;
  }
};

template <class F, class T>
struct GateBackward {
  const T *dy, *x;
  T* dx;
  int64_t count;

  static MESHPLAN_INLINE Pack<T, 2> one(T slope, T gate, T up) {
    using A = Compute<T>;
    const Parameters<A> p{A(1), A(0)};
    return {{T(F::backward(A(slope) * A(up), A(gate), p)), T(A(slope) * F::forward(A(gate), p))}};
  }
  __device__ void operator()(int64_t i) const {
    constexpr int n = kResults<T>;
    const int64_t at = i * n;
    if (at + n > count) {
      for (int64_t k = at; k < count; ++k)
        reinterpret_cast<Pack<T, 2>*>(dx)[k] = one(dy[k], x[2 * k], x[2 * k + 1]);
      return;
    }
    const auto slopes = reinterpret_cast<const Pack<T, n>*>(dy)[i];
    const auto in = reinterpret_cast<const Pack<T, 2 * n>*>(x)[i];
    Pack<T, 2 * n> out;
    for (int k = 0; k < n; ++k) {
      const Pack<T, 2> pair = one(slopes.at[k], in.at[2 * k], in.at[2 * k + 1]);
      out.at[2 * k] = pair.at[0];
      out.at[2 * k + 1] = pair.at[1];
    }
    reinterpret_cast<Pack<T, 2 * n>*>(dx)[i] = out;
  }
};

template <class F>
void forward(CudaContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const int64_t count = y.type.elements();
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(context, ceilDiv(count, int64_t{kResults<T>}),
            GateForward<F, T>{x.as<T>(), y.as<T>(), count});
  });
}

template <class F>
void backward(CudaContext& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &x = *call.forwardInput(0);
  const TensorView& dx = *call.inputGradient(0);
  const int64_t count = dy.type.elements();
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(context, ceilDiv(count, int64_t{kResults<T>}),
            GateBackward<F, T>{dy.as<T>(), x.as<T>(), dx.as<T>(), count});
  });
}

template <CudaKernel exact, CudaKernel tanhForm>
void chosen(CudaContext& context, const KernelCall& call) {
  (unary::isTanhForm(call.op->attributes) ? tanhForm : exact)(context, call);
}

/// The gradient of what is not a parameter has the dtype of what it is of.
bool isOfOneType(const KernelCall& call) {
  const DType dtype = call.inputs[0].type.dtype;
  for (const auto views : {call.inputs, call.outputs})
    for (const TensorView& t : views)
      if (t.type.dtype != dtype) return false;
  return true;
}

constexpr CudaKernels kKernels[] = {
    {"SwiGLU", forward<activation::Swish>, backward<activation::Swish>, false, isOfOneType},
    {"GeGLU", chosen<forward<activation::Gelu>, forward<activation::TanhGelu>>,
     chosen<backward<activation::Gelu>, backward<activation::TanhGelu>>, false, isOfOneType},
};

}  // namespace

std::span<const CudaKernels> cudaGatedKernels() {
  return kKernels;
}

}  // namespace meshplan
