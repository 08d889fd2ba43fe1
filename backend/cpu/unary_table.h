// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <limits>
#include <string_view>

#include "backend/cpu/activations.h"
#include "core/operator.h"

/// The operators of one number, each with its function (activations.h) and where that finds its
/// attributes: what kernels of every device are made from.
namespace meshplan::unary {

using Factors = std::array<double, 2>;
using ReadFactors = Factors (*)(const Attributes&);

inline Factors none(const Attributes&) {
  return {};
}
inline Factors one(const Attributes&) {
  return {1, 0};
}
inline Factors minusOne(const Attributes&) {
  return {-1, 0};
}
template <int percent>
Factors alpha(const Attributes& a) {
  return {a.getFloat("alpha", percent / 100.), 0};
}
inline Factors leaky(const Attributes& a) {
  return {a.getFloat("alpha", 0.01), 0};
}
inline Factors quick(const Attributes& a) {
  return {a.getFloat("alpha", 1.702), 0};
}
inline Factors seluFactors(const Attributes& a) {
  return {a.getFloat("alpha", 1.67326319217681884765625),
          a.getFloat("gamma", 1.05070102214813232421875)};
}
inline Factors hardSigmoidFactors(const Attributes& a) {
  return {a.getFloat("alpha", 0.2), a.getFloat("beta", 0.5)};
}
inline Factors shrinkFactors(const Attributes& a) {
  return {a.getFloat("lambd", 0.5), a.getFloat("bias", 0)};
}
inline Factors limits(const Attributes& a) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return {a.getFloat("min", -kInfinity), a.getFloat("max", kInfinity)};
}
inline Factors factor(const Attributes& a) {
  return {a.getFloat("factor", 1), 0};
}
inline Factors infinities(const Attributes& a) {
  return {static_cast<double>(a.getInt("detect_negative", 1)),
          static_cast<double>(a.getInt("detect_positive", 1))};
}

inline bool isTanhForm(const Attributes& a) {
  return a.getString("approximate", "none") == "tanh";
}

/// Factors of functions on integers.
inline int64_t whole(double v) {
  constexpr double kLimit = 9.2e18;
  return v >= kLimit    ? std::numeric_limits<int64_t>::max()
         : v <= -kLimit ? std::numeric_limits<int64_t>::min()
                        : static_cast<int64_t>(v);
}

/// All of them but Identity, Cast and BitwiseNot, by functions of Make that return kernels for a
/// name: floats<F, read>; numbers<F, read>, on integers too; constant<F, read>, without gradient;
/// test<F>, both; choice<F, TanhForm>, by the attribute `approximate`.
template <class Make>
constexpr auto table() {
  using namespace activation;
  return std::array{
      Make::template numbers<Relu>("Relu"),
      Make::template floats<Sigmoid>("Sigmoid"),
      Make::template floats<Tanh>("Tanh"),
      Make::template floats<Exp>("Exp"),
      Make::template floats<Sqrt>("Sqrt"),
      Make::template floats<Reciprocal>("Reciprocal"),
      Make::template floats<Elu, alpha<100>>("Elu"),
      Make::template floats<Tan>("Tan"),
      Make::template choice<Gelu, TanhGelu>("Gelu"),
      Make::template floats<Swish, quick>("QuickGelu"),
      Make::template floats<Swish, one>("Silu"),
      Make::template floats<Swish, alpha<100>>("Swish"),
      Make::template floats<Mish>("Mish"),
      Make::template floats<Erf>("Erf"),
      Make::template floats<Log>("Log"),
      Make::template numbers<Abs>("Abs"),
      Make::template numbers<Clip, limits>("Clip"),
      Make::template floats<LeakyRelu, leaky>("LeakyRelu"),
      Make::template floats<ThresholdedRelu, alpha<100>>("ThresholdedRelu"),
      Make::template floats<Celu, alpha<100>>("Celu"),
      Make::template floats<Selu, seluFactors>("Selu"),
      Make::template floats<HardSigmoid, hardSigmoidFactors>("HardSigmoid"),
      Make::template floats<HardSwish>("HardSwish"),
      Make::template floats<Softplus>("Softplus"),
      Make::template floats<Softsign>("Softsign"),
      Make::template numbers<Shrink, shrinkFactors>("Shrink"),
      Make::template floats<Sin>("Sin"),
      Make::template floats<Cos>("Cos"),
      Make::template floats<Sinh>("Sinh"),
      Make::template floats<Cosh>("Cosh"),
      Make::template floats<Asin>("Asin"),
      Make::template floats<Acos>("Acos"),
      Make::template floats<Atan>("Atan"),
      Make::template floats<Asinh>("Asinh"),
      Make::template floats<Acosh>("Acosh"),
      Make::template floats<Atanh>("Atanh"),
      Make::template numbers<Scale, minusOne>("Neg"),
      Make::template floats<Scale, factor>("Scale"),
      Make::template test<Sign>("Sign"),
      Make::template constant<Floor>("Floor"),
      Make::template constant<Ceil>("Ceil"),
      Make::template constant<Round>("Round"),
      Make::template test<Not>("Not"),
      Make::template test<IsNaN>("IsNaN"),
      Make::template constant<IsInf, infinities>("IsInf"),
  };
}

}  // namespace meshplan::unary
