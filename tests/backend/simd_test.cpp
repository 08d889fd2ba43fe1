// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/simd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/cpu/element.h"

namespace meshplan {
namespace {

template <class F>
MESHPLAN_SIMD void apply(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = F::fast(x[i]);
}

/// The largest error in units in the last place of the exact result.
template <class F>
double worstError(float low, float high) {
  const int64_t n = 400003;
  std::vector<float> x(n), y(n);
  for (int64_t i = 0; i < n; ++i)
    x[i] = low + (high - low) * static_cast<float>(i) / static_cast<float>(n - 1);
  apply<F>(x.data(), y.data(), n);
  double worst = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double exact = F::exact(static_cast<double>(x[i]));
    const double unit = std::ldexp(1.0, std::max(std::ilogb(exact), -126) - 23);
    worst = std::max(worst, std::abs(y[i] - exact) / unit);
  }
  return worst;
}

#define MESHPLAN_PAIR(Name, function)                                        \
  struct Name {                                                              \
    static MESHPLAN_INLINE float fast(float x) { return simd::function(x); } \
    static double exact(double x) { return std::function(x); }               \
  };
MESHPLAN_PAIR(Exp, exp)
MESHPLAN_PAIR(Tanh, tanh)
MESHPLAN_PAIR(Erf, erf)
MESHPLAN_PAIR(Log, log)
#undef MESHPLAN_PAIR

TEST(Simd, ErrorsStayWithinWhatTheHeaderStates) {
  EXPECT_LE(worstError<Exp>(-87.2f, 88.7f), 2.0);
  EXPECT_LE(worstError<Exp>(-1e-3f, 1e-3f), 2.0);
  EXPECT_LE(worstError<Tanh>(-12.f, 12.f), 4.0);
  EXPECT_LE(worstError<Tanh>(-0.7f, 0.7f), 4.0);
  EXPECT_LE(worstError<Erf>(-5.f, 5.f), 3.0);
  EXPECT_LE(worstError<Erf>(-1e-3f, 1e-3f), 3.0);
  EXPECT_LE(worstError<Log>(1e-6f, 3.f), 2.0);
  EXPECT_LE(worstError<Log>(3.f, 1e30f), 2.0);
}

TEST(Simd, LimitsAreThoseOfLibm) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(simd::exp(-inf), 0.f);
  EXPECT_EQ(simd::exp(-1000.f), 0.f);
  EXPECT_EQ(simd::exp(inf), inf);
  EXPECT_EQ(simd::exp(0.f), 1.f);
  EXPECT_TRUE(std::isnan(simd::exp(std::nanf(""))));
  EXPECT_EQ(simd::tanh(inf), 1.f);
  EXPECT_EQ(simd::tanh(-inf), -1.f);
  EXPECT_TRUE(std::isnan(simd::tanh(std::nanf(""))));
  EXPECT_EQ(simd::erf(inf), 1.f);
  EXPECT_EQ(simd::erf(-20.f), -1.f);
  EXPECT_EQ(simd::sigmoid(-inf), 0.f);
  EXPECT_EQ(simd::sigmoid(inf), 1.f);
  EXPECT_EQ(simd::log(0.f), -inf);
  EXPECT_EQ(simd::log(1.f), 0.f);
  EXPECT_EQ(simd::log(inf), inf);
  EXPECT_TRUE(std::isnan(simd::log(-1.f)));
}

TEST(BFloat16, RoundsToNearestEvenAndKeepsNaN) {
  EXPECT_EQ(BFloat16(1.f).bits, 0x3f80);
  EXPECT_EQ(static_cast<float>(BFloat16(1.f + 0.5f / 128)), 1.f);              // a tie: to even
  EXPECT_EQ(static_cast<float>(BFloat16(1.f + 1.5f / 128)), 1.f + 2.f / 128);  // a tie: to even
  EXPECT_EQ(static_cast<float>(BFloat16(3.4e38f)), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(static_cast<float>(BFloat16(std::nanf("")))));
}

}  // namespace
}  // namespace meshplan
