// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/unary.cpp. Bound by bandwidth.
#include <algorithm>
#include <array>

#include "backend/cpu/unary_table.h"
#include "backend/cuda/box_kernels.h"
#include "backend/cuda/elementwise_tables.h"
#include "backend/cuda/kernels/broadcast_map.h"
#include "backend/cuda/uniform_operands.h"

namespace meshplan {
namespace {

using activation::Parameters;
using device::Compute;
using unary::ReadFactors;

/// 16 bytes at a time where the function is a hot one.
template <class F, class T>
inline constexpr int kTogether = F::kHot ? device::kPack<T> : 1;

template <class F, class T>
struct Forward {
  const T* x;
  T* y;
  int64_t count;
  Parameters<Compute<T>> p;

  __device__ void operator()(int64_t i) const {
    constexpr int n = kTogether<F, T>;
    const int64_t at = i * n, left = count - at;
    const int here = left < n ? static_cast<int>(left) : n;
    Compute<T> values[n];
    device::loadPack<n>(x, false, at, here == n, here, values);
    for (int k = 0; k < n; ++k) values[k] = F::forward(values[k], p);
    device::storePack<n>(y + at, here == n, here, values);
  }
};

template <class F, class T>
struct Backward {
  const T *dy, *s;
  T* dx;
  int64_t count;
  Parameters<Compute<T>> p;

  __device__ void operator()(int64_t i) const {
    constexpr int n = kTogether<F, T>;
    const int64_t at = i * n, left = count - at;
    const int here = left < n ? static_cast<int>(left) : n;
    Compute<T> slopes[n], values[n];
    device::loadPack<n>(dy, false, at, here == n, here, slopes);
    device::loadPack<n>(s, false, at, here == n, here, values);
    for (int k = 0; k < n; ++k) values[k] = F::backward(slopes[k], values[k], p);
    device::storePack<n>(dx + at, here == n, here, values);
  }
};

template <class A>
Parameters<A> parametersOf(const KernelCall& call, ReadFactors read) {
  const unary::Factors f = read(call.op->attributes);
  if constexpr (std::is_same_v<A, int64_t>)
    return {unary::whole(f[0]), unary::whole(f[1])};
  else
    return {static_cast<A>(f[0]), static_cast<A>(f[1])};
}

template <class F, class T>
void forwardIn(CudaContext& context, const KernelCall& call, ReadFactors read,
               const UniformOperands& operands) {
  const int64_t count = operands.out().type.elements();
  forEach(context, ceilDiv(count, int64_t{kTogether<F, T>}),
          Forward<F, T>{operands.in(0).template as<T>(), operands.out().template as<T>(), count,
                        parametersOf<Compute<T>>(call, read)});
}

template <class F, ReadFactors read>
void forward(CudaContext& context, const KernelCall& call) {
  UniformOperands operands(context, call.inputs, call.outputs[0]);
  device::withElement(*call.op, operands.dtype(), [&](auto element) {
    forwardIn<F, decltype(element)>(context, call, read, operands);
  });
  operands.finish();
}

template <class F, ReadFactors read>
void forwardAny(CudaContext& context, const KernelCall& call) {
  UniformOperands operands(context, call.inputs, call.outputs[0]);
  device::withNumber(*call.op, operands.dtype(), [&](auto element) {
    forwardIn<F, decltype(element)>(context, call, read, operands);
  });
  operands.finish();
}

template <class F, ReadFactors read>
void backward(CudaContext& context, const KernelCall& call) {
  const TensorView* dy = call.outputGradient(0);
  const TensorView* s = call.forwardInput(0) ? call.forwardInput(0) : call.forwardOutput(0);
  const std::array<TensorView, 2> inputs{*dy, s ? *s : *dy};
  UniformOperands operands(context, inputs, *call.inputGradient(0));
  device::withElement(*call.op, operands.dtype(), [&](auto element) {
    using T = decltype(element);
    const int64_t count = operands.out().type.elements();
    forEach(context, ceilDiv(count, int64_t{kTogether<F, T>}),
            Backward<F, T>{operands.in(0).template as<T>(), operands.in(1).template as<T>(),
                           operands.out().template as<T>(), count,
                           parametersOf<Compute<T>>(call, read)});
  });
  operands.finish();
}

/// Identity and its gradient.
void copyAll(CudaContext& context, const KernelCall& call) {
  castElements(context, call.inputs[0], call.outputs[0]);
}

struct Inverted {
  MESHPLAN_INLINE int64_t operator()(int64_t x) const { return ~x; }
};

void bitwiseNot(CudaContext& context, const KernelCall& call) {
  UniformOperands operands(context, call.inputs, call.outputs[0]);
  mapOn<int64_t, int64_t, int64_t>(context, Inverted{}, operands.out(), {operands.in(0)});
  operands.finish();
}

struct Make {
  template <class F, ReadFactors read = unary::none>
  static constexpr CudaKernels floats(std::string_view name) {
    return {name, forward<F, read>, backward<F, read>};
  }
  template <class F, ReadFactors read = unary::none>
  static constexpr CudaKernels numbers(std::string_view name) {
    return {name, forwardAny<F, read>, backward<F, read>};
  }
  template <class F, ReadFactors read = unary::none>
  static constexpr CudaKernels constant(std::string_view name) {
    return {name, forward<F, read>};
  }
  template <class F>
  static constexpr CudaKernels test(std::string_view name) {
    return {name, forwardAny<F, unary::none>};
  }
  template <class F, class TanhForm>
  static constexpr CudaKernels choice(std::string_view name) {
    return {name, chosen<forward<F, unary::none>, forward<TanhForm, unary::none>>,
            chosen<backward<F, unary::none>, backward<TanhForm, unary::none>>};
  }

 private:
  template <CudaKernel exact, CudaKernel tanhForm>
  static void chosen(CudaContext& context, const KernelCall& call) {
    (unary::isTanhForm(call.op->attributes) ? tanhForm : exact)(context, call);
  }
};

bool isBetweenConverted(const KernelCall& call) {
  return isConverted(call.inputs[0].type.dtype) && isConverted(call.outputs[0].type.dtype);
}

constexpr CudaKernels kOthers[] = {
    {"Identity", copyAll, copyAll, false, isBetweenConverted},
    {"Cast", copyAll, copyAll, false, isBetweenConverted},
    {"BitwiseNot", bitwiseNot},
};

}  // namespace

std::span<const CudaKernels> cudaUnaryKernels() {
  static constexpr auto kKernels = [] {
    constexpr auto kTable = unary::table<Make>();
    std::array<CudaKernels, kTable.size() + std::size(kOthers)> all{};
    std::copy(kTable.begin(), kTable.end(), all.begin());
    std::copy(std::begin(kOthers), std::end(kOthers), all.begin() + kTable.size());
    return all;
  }();
  return kKernels;
}

}  // namespace meshplan
