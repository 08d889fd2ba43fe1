// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "backend/cpu/simd.h"

/// Activations and other functions of one number, each with its derivative times the gradient of
/// its result: backward(dy, s, p) where s is the input or the result, whichever the OperatorDef
/// keeps (core/operators/elementwise.cpp). Definitions and default attributes are ONNX's; p holds
/// two attributes. `kHot`: worth compiling for several instruction sets.
namespace meshplan::activation {

template <class A>
struct Parameters {
  A a{}, b{};
};

/// Bases that say where an operator finds its attributes.
struct Hot {
  static constexpr bool kHot = true;
};
struct Cold {
  static constexpr bool kHot = false;
};

#define MESHPLAN_FORWARD(expression)                                               \
  template <class A>                                                               \
  static MESHPLAN_INLINE A forward(A x, [[maybe_unused]] const Parameters<A>& p) { \
    return expression;                                                             \
  }
#define MESHPLAN_BACKWARD(expression)                                          \
  template <class A>                                                           \
  static MESHPLAN_INLINE A backward(A dy, [[maybe_unused]] A s,                \
                                    [[maybe_unused]] const Parameters<A>& p) { \
    return expression;                                                         \
  }

struct Relu : Hot {
  MESHPLAN_FORWARD(x > A(0) ? x : x != x ? x : A(0))
  MESHPLAN_BACKWARD(s > A(0) ? dy : A(0))
};
struct Sigmoid : Hot {
  MESHPLAN_FORWARD(simd::sigmoid(x))
  MESHPLAN_BACKWARD(dy* s*(A(1) - s))
};
struct Tanh : Hot {
  MESHPLAN_FORWARD(simd::tanh(x))
  MESHPLAN_BACKWARD(dy*(A(1) - s * s))
};
struct Exp : Hot {
  MESHPLAN_FORWARD(simd::exp(x))
  MESHPLAN_BACKWARD(dy* s)
};
struct Sqrt : Hot {
  MESHPLAN_FORWARD(std::sqrt(x))
  MESHPLAN_BACKWARD(dy / (A(2) * s))
};
struct Reciprocal : Hot {
  MESHPLAN_FORWARD(A(1) / x)
  MESHPLAN_BACKWARD(-dy* s* s)
};
struct Elu : Hot {  // a = alpha
  MESHPLAN_FORWARD(x >= A(0) ? x : p.a * (simd::exp(x) - A(1)))
  MESHPLAN_BACKWARD(s >= A(0) ? dy : dy * (s + p.a))
};
struct Selu : Hot {  // a = alpha, b = gamma
  MESHPLAN_FORWARD(p.b*(x > A(0) ? x : p.a * (simd::exp(x) - A(1))))
  MESHPLAN_BACKWARD(s > A(0) ? dy * p.b : dy * (s + p.a * p.b))
};
struct Celu : Cold {  // a = alpha
  MESHPLAN_FORWARD(x > A(0) ? x : p.a * std::expm1(x / p.a))
  MESHPLAN_BACKWARD(s > A(0) ? dy : dy * std::exp(s / p.a))
};
struct Tan : Cold {
  MESHPLAN_FORWARD(std::tan(x))
  MESHPLAN_BACKWARD(dy*(A(1) + s * s))
};

/// 0.5 x (1 + erf(x / sqrt 2)) (Hendrycks and Gimpel 2016).
struct Gelu : Hot {
  MESHPLAN_FORWARD(A(0.5) * x * (A(1) + simd::erf(x * A(0.70710678118654752440))))
  MESHPLAN_BACKWARD(dy*(A(0.5) * (A(1) + simd::erf(s * A(0.70710678118654752440))) +
                        s * A(0.39894228040143267794) * simd::exp(A(-0.5) * s * s)))
};

/// 0.5 x (1 + tanh u), u = sqrt(2 / pi) (x + 0.044715 x^3), of the same paper. As x times a
/// logistic function of 2u: one exponential and no branches.
struct TanhGelu : Hot {
  template <class A>
  static MESHPLAN_INLINE A logistic(A x) {
    return simd::sigmoid(A(1.59576912160573071175) * (x + A(0.044715) * x * x * x));
  }
  MESHPLAN_FORWARD(x* logistic(x))
  template <class A>
  static MESHPLAN_INLINE A backward(A dy, A s, const Parameters<A>&) {
    const A l = logistic(s);
    const A slope = A(1.59576912160573071175) * (A(1) + A(3 * 0.044715) * s * s);
    return dy * (l + s * l * (A(1) - l) * slope);
  }
};

/// x times a logistic function of a x: Silu (a = 1), Swish (alpha), QuickGelu (a = 1.702).
struct Swish : Hot {
  MESHPLAN_FORWARD(x* simd::sigmoid(p.a* x))
  template <class A>
  static MESHPLAN_INLINE A backward(A dy, A s, const Parameters<A>& p) {
    const A l = simd::sigmoid(p.a * s);
    return dy * (l + p.a * s * l * (A(1) - l));
  }
};

struct Softplus : Cold {
  MESHPLAN_FORWARD((x > A(0) ? x : A(0)) + std::log1p(std::exp(-std::abs(x))))
  MESHPLAN_BACKWARD(dy* simd::sigmoid(s))
};
struct Mish : Cold {
  MESHPLAN_FORWARD(x* std::tanh(Softplus::forward(x, p)))
  template <class A>
  static MESHPLAN_INLINE A backward(A dy, A s, const Parameters<A>& p) {
    const A t = std::tanh(Softplus::forward(s, p));
    return dy * (t + s * (A(1) - t * t) * simd::sigmoid(s));
  }
};
struct Erf : Hot {
  MESHPLAN_FORWARD(simd::erf(x))
  MESHPLAN_BACKWARD(dy* A(1.12837916709551257390) * simd::exp(-s * s))
};
struct Log : Hot {
  MESHPLAN_FORWARD(simd::log(x))
  MESHPLAN_BACKWARD(dy / s)
};
struct Abs : Hot {
  MESHPLAN_FORWARD(std::abs(x))
  MESHPLAN_BACKWARD(s > A(0) ? dy : s < A(0) ? -dy : A(0))
};
struct Clip : Hot {  // a = min, b = max
  MESHPLAN_FORWARD(x<p.a ? p.a : x> p.b ? p.b : x)
  MESHPLAN_BACKWARD(s<p.a || s> p.b ? A(0) : dy)
};
struct LeakyRelu : Hot {  // a = alpha
  MESHPLAN_FORWARD(x >= A(0) ? x : p.a * x)
  MESHPLAN_BACKWARD(s >= A(0) ? dy : p.a * dy)
};
struct ThresholdedRelu : Hot {  // a = alpha
  MESHPLAN_FORWARD(x > p.a ? x : A(0))
  MESHPLAN_BACKWARD(s > p.a ? dy : A(0))
};
struct HardSigmoid : Hot {  // max(0, min(1, a x + b))
  template <class A>
  static MESHPLAN_INLINE A line(A x, const Parameters<A>& p) {
    return p.a * x + p.b;
  }
  MESHPLAN_FORWARD(line(x, p) < A(0) ? A(0) : line(x, p) > A(1) ? A(1) : line(x, p))
  MESHPLAN_BACKWARD(line(s, p) > A(0) && line(s, p) < A(1) ? p.a * dy : A(0))
};
struct HardSwish : Hot {  // x HardSigmoid(x) with 1/6 and 1/2
  MESHPLAN_FORWARD(x <= A(-3) ? A(0) : x >= A(3) ? x : x * (x + A(3)) / A(6))
  MESHPLAN_BACKWARD(s <= A(-3) ? A(0) : s >= A(3) ? dy : dy * (A(2) * s + A(3)) / A(6))
};
struct Softsign : Cold {
  MESHPLAN_FORWARD(x / (A(1) + std::abs(x)))
  MESHPLAN_BACKWARD(dy / ((A(1) + std::abs(s)) * (A(1) + std::abs(s))))
};
struct Shrink : Cold {  // a = lambd, b = bias
  MESHPLAN_FORWARD(x<-p.a ? x + p.b : x> p.a ? x - p.b : A(0))
  MESHPLAN_BACKWARD(s<-p.a || s> p.a ? dy : A(0))
};
struct Sin : Cold {
  MESHPLAN_FORWARD(std::sin(x))
  MESHPLAN_BACKWARD(dy* std::cos(s))
};
struct Cos : Cold {
  MESHPLAN_FORWARD(std::cos(x))
  MESHPLAN_BACKWARD(-dy* std::sin(s))
};
struct Sinh : Cold {
  MESHPLAN_FORWARD(std::sinh(x))
  MESHPLAN_BACKWARD(dy* std::cosh(s))
};
struct Cosh : Cold {
  MESHPLAN_FORWARD(std::cosh(x))
  MESHPLAN_BACKWARD(dy* std::sinh(s))
};
struct Asin : Cold {
  MESHPLAN_FORWARD(std::asin(x))
  MESHPLAN_BACKWARD(dy / std::sqrt(A(1) - s * s))
};
struct Acos : Cold {
  MESHPLAN_FORWARD(std::acos(x))
  MESHPLAN_BACKWARD(-dy / std::sqrt(A(1) - s * s))
};
struct Atan : Cold {
  MESHPLAN_FORWARD(std::atan(x))
  MESHPLAN_BACKWARD(dy / (A(1) + s * s))
};
struct Asinh : Cold {
  MESHPLAN_FORWARD(std::asinh(x))
  MESHPLAN_BACKWARD(dy / std::sqrt(A(1) + s * s))
};
struct Acosh : Cold {
  MESHPLAN_FORWARD(std::acosh(x))
  MESHPLAN_BACKWARD(dy / std::sqrt(s * s - A(1)))
};
struct Atanh : Cold {
  MESHPLAN_FORWARD(std::atanh(x))
  MESHPLAN_BACKWARD(dy / (A(1) - s * s))
};
struct Scale : Hot {  // a = factor; also Neg and Identity
  MESHPLAN_FORWARD(p.a* x)
  MESHPLAN_BACKWARD(p.a* dy)
};
struct Copy : Cold {  // Cast: blocks convert
  MESHPLAN_FORWARD(x)
  MESHPLAN_BACKWARD(dy)
};

// Without gradients.
struct Sign : Cold {
  MESHPLAN_FORWARD(x > A(0) ? A(1) : x < A(0) ? A(-1) : x)
};
struct Floor : Cold {
  MESHPLAN_FORWARD(std::floor(x))
};
struct Ceil : Cold {
  MESHPLAN_FORWARD(std::ceil(x))
};
struct Round : Cold {  // halves to even
  MESHPLAN_FORWARD(std::nearbyint(x))
};
struct Not : Cold {
  MESHPLAN_FORWARD(A(x == A(0)))
};
struct IsNaN : Cold {
  MESHPLAN_FORWARD(A(x != x))
};
struct IsInf : Cold {  // a, b: whether negative and positive ones count
  MESHPLAN_FORWARD(A(std::isinf(x) && (x < A(0) ? p.a : p.b) != A(0)))
};

#undef MESHPLAN_FORWARD
#undef MESHPLAN_BACKWARD

}  // namespace meshplan::activation
