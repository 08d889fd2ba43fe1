// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <limits>
#include <type_traits>

#include "backend/cpu/activations.h"
#include "backend/cpu/blocks.h"
#include "backend/cpu/elementwise_tables.h"
#include "backend/cpu/map_blocks.h"
#include "backend/cpu/strided.h"

namespace meshplan {
namespace {

using activation::Parameters;

template <class F, class A>
MESHPLAN_SIMD void forwardFast(const A* __restrict x, A* __restrict y, int64_t n, Parameters<A> p) {
  for (int64_t i = 0; i < n; ++i) y[i] = F::forward(x[i], p);
}

template <class F, class A>
MESHPLAN_SIMD void backwardFast(const A* __restrict dy, const A* __restrict s, A* __restrict dx,
                                int64_t n, Parameters<A> p) {
  for (int64_t i = 0; i < n; ++i) dx[i] = F::backward(dy[i], s[i], p);
}

template <class F, class A>
constexpr bool isFast = F::kHot&& std::is_same_v<A, float>;

template <class F, class A>
void forwardLoop(const A* x, A* y, int64_t n, const Parameters<A>& p) {
  if constexpr (isFast<F, A>)
    forwardFast<F, A>(x, y, n, p);
  else
    for (int64_t i = 0; i < n; ++i) y[i] = F::forward(x[i], p);
}

template <class F, class A>
void backwardLoop(const A* dy, const A* s, A* dx, int64_t n, const Parameters<A>& p) {
  if constexpr (isFast<F, A>)
    backwardFast<F, A>(dy, s, dx, n, p);
  else
    for (int64_t i = 0; i < n; ++i) dx[i] = F::backward(dy[i], s[i], p);
}

using Factors = std::array<double, 2>;
using ReadFactors = Factors (*)(const Attributes&);

template <class A>
Parameters<A> parametersOf(const KernelCall& call, ReadFactors read) {
  const Factors f = read(call.op->attributes);
  return {static_cast<A>(f[0]), static_cast<A>(f[1])};
}

constexpr int64_t kWork = 4;

template <class F, ReadFactors read>
void forward(CpuContext& context, const KernelCall& call) {
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    const Parameters<A> p = parametersOf<A>(call, read);
    mapBroadcast<A>(context, call.inputs, call.outputs[0], kWork,
                    [&](const A* const* x, A* y, int64_t n) { forwardLoop<F, A>(x[0], y, n, p); });
  });
}

/// Of operators that are defined for integers too; their attributes stay exact there.
template <class F, ReadFactors read>
void forwardAny(CpuContext& context, const KernelCall& call) {
  if (computeType(call) != ComputeType::i64) return forward<F, read>(context, call);
  const Factors f = read(call.op->attributes);
  const auto whole = [](double v) {
    constexpr double kLimit = 9.2e18;
    return v >= kLimit    ? std::numeric_limits<int64_t>::max()
           : v <= -kLimit ? std::numeric_limits<int64_t>::min()
                          : static_cast<int64_t>(v);
  };
  const Parameters<int64_t> p{whole(f[0]), whole(f[1])};
  mapBroadcast<int64_t>(context, call.inputs, call.outputs[0], kWork,
                        [&](const int64_t* const* x, int64_t* y, int64_t n) {
                          forwardLoop<F, int64_t>(x[0], y, n, p);
                        });
}

template <class F, ReadFactors read>
void backward(CpuContext& context, const KernelCall& call) {
  const TensorView* dy = call.outputGradient(0);
  const TensorView* s = call.forwardInput(0) ? call.forwardInput(0) : call.forwardOutput(0);
  const std::array<TensorView, 2> inputs{*dy, s ? *s : *dy};
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    const Parameters<A> p = parametersOf<A>(call, read);
    mapBroadcast<A>(
        context, inputs, *call.inputGradient(0), kWork,
        [&](const A* const* x, A* dx, int64_t n) { backwardLoop<F, A>(x[0], x[1], dx, n, p); });
  });
}

/// Identity and its gradient: bytes, of whatever type.
void copyAll(CpuContext& context, const KernelCall& call) {
  StridedBox box;
  box.add(call.inputs[0].type.elements(), 1, 1);
  copyBox(context, box, call.inputs[0], call.outputs[0]);
}

void bitwiseNot(CpuContext& context, const KernelCall& call) {
  mapBroadcast<int64_t>(context, call.inputs, call.outputs[0], 1,
                        [](const int64_t* const* x, int64_t* y, int64_t n) {
                          for (int64_t i = 0; i < n; ++i) y[i] = ~x[0][i];
                        });
}

Factors none(const Attributes&) {
  return {};
}
Factors one(const Attributes&) {
  return {1, 0};
}
Factors minusOne(const Attributes&) {
  return {-1, 0};
}
template <int percent>
Factors alpha(const Attributes& a) {
  return {a.getFloat("alpha", percent / 100.), 0};
}
Factors leaky(const Attributes& a) {
  return {a.getFloat("alpha", 0.01), 0};
}
Factors quick(const Attributes& a) {
  return {a.getFloat("alpha", 1.702), 0};
}
Factors seluFactors(const Attributes& a) {
  return {a.getFloat("alpha", 1.67326319217681884765625),
          a.getFloat("gamma", 1.05070102214813232421875)};
}
Factors hardSigmoidFactors(const Attributes& a) {
  return {a.getFloat("alpha", 0.2), a.getFloat("beta", 0.5)};
}
Factors shrinkFactors(const Attributes& a) {
  return {a.getFloat("lambd", 0.5), a.getFloat("bias", 0)};
}
Factors limits(const Attributes& a) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return {a.getFloat("min", -kInfinity), a.getFloat("max", kInfinity)};
}
Factors factor(const Attributes& a) {
  return {a.getFloat("factor", 1), 0};
}
Factors infinities(const Attributes& a) {
  return {static_cast<double>(a.getInt("detect_negative", 1)),
          static_cast<double>(a.getInt("detect_positive", 1))};
}

bool isTanhForm(const KernelCall& call) {
  return call.op->attributes.getString("approximate", "none") == "tanh";
}
void geluForward(CpuContext& context, const KernelCall& call) {
  if (isTanhForm(call)) return forward<activation::TanhGelu, none>(context, call);
  forward<activation::Gelu, none>(context, call);
}
void geluBackward(CpuContext& context, const KernelCall& call) {
  if (isTanhForm(call)) return backward<activation::TanhGelu, none>(context, call);
  backward<activation::Gelu, none>(context, call);
}

template <class F, ReadFactors read = none>
constexpr CpuKernels unary(std::string_view name) {
  return {name, forward<F, read>, backward<F, read>};
}
template <class F, ReadFactors read = none>
constexpr CpuKernels unaryAny(std::string_view name) {
  return {name, forwardAny<F, read>, backward<F, read>};
}
template <class F, ReadFactors read = none>
constexpr CpuKernels constant(std::string_view name) {
  return {name, forward<F, read>};
}

constexpr CpuKernels kKernels[] = {
    unaryAny<activation::Relu>("Relu"),
    unary<activation::Sigmoid>("Sigmoid"),
    unary<activation::Tanh>("Tanh"),
    unary<activation::Exp>("Exp"),
    unary<activation::Sqrt>("Sqrt"),
    unary<activation::Reciprocal>("Reciprocal"),
    unary<activation::Elu, alpha<100>>("Elu"),
    unary<activation::Tan>("Tan"),
    {"Gelu", geluForward, geluBackward},
    unary<activation::Swish, quick>("QuickGelu"),
    unary<activation::Swish, one>("Silu"),
    unary<activation::Swish, alpha<100>>("Swish"),
    unary<activation::Mish>("Mish"),
    unary<activation::Erf>("Erf"),
    unary<activation::Log>("Log"),
    unaryAny<activation::Abs>("Abs"),
    unaryAny<activation::Clip, limits>("Clip"),
    unary<activation::LeakyRelu, leaky>("LeakyRelu"),
    unary<activation::ThresholdedRelu, alpha<100>>("ThresholdedRelu"),
    unary<activation::Celu, alpha<100>>("Celu"),
    unary<activation::Selu, seluFactors>("Selu"),
    unary<activation::HardSigmoid, hardSigmoidFactors>("HardSigmoid"),
    unary<activation::HardSwish>("HardSwish"),
    unary<activation::Softplus>("Softplus"),
    unary<activation::Softsign>("Softsign"),
    unaryAny<activation::Shrink, shrinkFactors>("Shrink"),
    unary<activation::Sin>("Sin"),
    unary<activation::Cos>("Cos"),
    unary<activation::Sinh>("Sinh"),
    unary<activation::Cosh>("Cosh"),
    unary<activation::Asin>("Asin"),
    unary<activation::Acos>("Acos"),
    unary<activation::Atan>("Atan"),
    unary<activation::Asinh>("Asinh"),
    unary<activation::Acosh>("Acosh"),
    unary<activation::Atanh>("Atanh"),
    unaryAny<activation::Scale, minusOne>("Neg"),
    {"Identity", copyAll, copyAll},
    unary<activation::Scale, factor>("Scale"),
    unaryAny<activation::Copy>("Cast"),
    {"Sign", forwardAny<activation::Sign, none>},
    constant<activation::Floor>("Floor"),
    constant<activation::Ceil>("Ceil"),
    constant<activation::Round>("Round"),
    {"Not", forwardAny<activation::Not, none>},
    {"BitwiseNot", bitwiseNot},
    {"IsNaN", forwardAny<activation::IsNaN, none>},
    constant<activation::IsInf, infinities>("IsInf"),
};

}  // namespace

std::span<const CpuKernels> unaryKernels() {
  return kKernels;
}

}  // namespace meshplan
