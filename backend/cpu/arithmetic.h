// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "backend/cpu/simd.h"

/// Functions of two numbers, and gradients with respect to either times that of their result, for
/// kernels of every device. Definitions are ONNX's; A is double, float or int64_t.
namespace meshplan::arithmetic {

template <class A>
constexpr bool isWhole = std::is_same_v<A, int64_t>;

/// Integers wrap around.
template <class A>
using Ring = std::conditional_t<isWhole<A>, uint64_t, A>;

struct Plus {
  template <class A>
  static MESHPLAN_INLINE A apply(A a, A b) {
    return static_cast<A>(Ring<A>(a) + Ring<A>(b));
  }
};
struct Minus {
  template <class A>
  static MESHPLAN_INLINE A apply(A a, A b) {
    return static_cast<A>(Ring<A>(a) - Ring<A>(b));
  }
};
struct Times {
  template <class A>
  static MESHPLAN_INLINE A apply(A a, A b) {
    return static_cast<A>(Ring<A>(a) * Ring<A>(b));
  }
};
struct Quotient {
  template <class A>
  static MESHPLAN_INLINE A apply(A a, A b) {
    if constexpr (isWhole<A>) return b == 0 ? 0 : b == -1 ? Minus::apply<A>(0, a) : a / b;
    return a / b;
  }
};
/// NaN wins.
struct Larger {
  template <class A>
  static MESHPLAN_INLINE A apply(A a, A b) {
    return a > b || a != a ? a : b;
  }
};
struct Smaller {
  template <class A>
  static MESHPLAN_INLINE A apply(A a, A b) {
    return a < b || a != a ? a : b;
  }
};
MESHPLAN_INLINE int64_t wholePower(int64_t a, int64_t b) {
  if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 == 0 ? 1 : -1) : 0;
  int64_t result = 1;
  for (; b > 0; b /= 2, a = Times::apply(a, a))
    if (b % 2 != 0) result = Times::apply(result, a);
  return result;
}

struct Power {
  template <class A>
  static MESHPLAN_INLINE A apply(A a, A b) {
    if constexpr (isWhole<A>)
      return wholePower(a, b);
    else
      return std::pow(a, b);
  }
};
/// The sign follows the divisor (Python), or the dividend (C).
struct FloorRemainder {
  template <class A>
  static MESHPLAN_INLINE A apply(A a, A b) {
    if constexpr (isWhole<A>) {
      if (b == 0 || b == -1) return 0;
      const A r = a % b;
      return r != 0 && (r < 0) != (b < 0) ? r + b : r;
    } else {
      const A r = std::fmod(a, b);
      return r != 0 && (r < 0) != (b < 0) ? r + b : r;
    }
  }
};
struct Remainder {
  template <class A>
  static MESHPLAN_INLINE A apply(A a, A b) {
    if constexpr (isWhole<A>)
      return b == 0 || b == -1 ? 0 : a % b;
    else
      return std::fmod(a, b);
  }
};

#define MESHPLAN_TRUTH(Name, expression)       \
  struct Name {                                \
    template <class A>                         \
    static MESHPLAN_INLINE A apply(A a, A b) { \
      return static_cast<A>(expression);       \
    }                                          \
  };
MESHPLAN_TRUTH(Conjunction, a != A(0) && b != A(0))
MESHPLAN_TRUTH(Disjunction, a != A(0) || b != A(0))
MESHPLAN_TRUTH(Exclusion, (a != A(0)) != (b != A(0)))
MESHPLAN_TRUTH(IsEqual, a == b)
MESHPLAN_TRUTH(IsLess, a < b)
MESHPLAN_TRUTH(IsAtMost, a <= b)
MESHPLAN_TRUTH(IsGreater, a > b)
MESHPLAN_TRUTH(IsAtLeast, a >= b)
#undef MESHPLAN_TRUTH

struct BitAnd {
  static MESHPLAN_INLINE int64_t apply(int64_t a, int64_t b) { return a & b; }
};
struct BitOr {
  static MESHPLAN_INLINE int64_t apply(int64_t a, int64_t b) { return a | b; }
};
struct BitXor {
  static MESHPLAN_INLINE int64_t apply(int64_t a, int64_t b) { return a ^ b; }
};
struct ShiftLeft {
  static MESHPLAN_INLINE int64_t apply(int64_t a, int64_t b) {
    return b < 0 || b > 63 ? 0 : static_cast<int64_t>(static_cast<uint64_t>(a) << b);
  }
};
struct ShiftRight {
  static MESHPLAN_INLINE int64_t apply(int64_t a, int64_t b) {
    return b < 0 || b > 63 ? 0 : static_cast<int64_t>(static_cast<uint64_t>(a) >> b);
  }
};

#define MESHPLAN_EXPRESSION(Name, firstGradient, secondGradient)                        \
  struct Name {                                                                         \
    template <class A>                                                                  \
    static MESHPLAN_INLINE A first(A dy, [[maybe_unused]] A a, [[maybe_unused]] A b) {  \
      return firstGradient;                                                             \
    }                                                                                   \
    template <class A>                                                                  \
    static MESHPLAN_INLINE A second(A dy, [[maybe_unused]] A a, [[maybe_unused]] A b) { \
      return secondGradient;                                                            \
    }                                                                                   \
  };
MESHPLAN_EXPRESSION(MulGradient, dy* b, dy* a)
MESHPLAN_EXPRESSION(DivGradient, dy / b, -dy* a / (b * b))
MESHPLAN_EXPRESSION(PowGradient, b == A(0) ? A(0) : dy * b * std::pow(a, b - A(1)),
                    a > A(0) ? dy * std::pow(a, b) * std::log(a) : A(0))
MESHPLAN_EXPRESSION(PReluGradient, a < A(0) ? dy * b : dy, a < A(0) ? dy * a : A(0))
#undef MESHPLAN_EXPRESSION

}  // namespace meshplan::arithmetic
