// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

/// Put in front of a function whose loops should be compiled for AVX-512, for AVX2 with FMA and for
/// plain x86-64, and be chosen when the program is loaded. Works for functions and templates at
/// namespace scope; what they call must be inlined, and parallel regions must stay outside (their
/// bodies would be compiled once). Only g++ accepts it on templates, and sanitizers cannot run
/// before the choice is made: there, the function is compiled for the target of the build.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MESHPLAN_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MESHPLAN_SIMD
#endif

#ifdef __CUDACC__
#define MESHPLAN_INLINE __host__ __device__ __forceinline__
#else
#define MESHPLAN_INLINE inline __attribute__((always_inline))
#endif

/// Exponentials and their kin without branches, so that loops over them become vector code. The
/// polynomials in fp32 are weighted least-squares fits brought near minimax by Lawson's iteration
/// (tests/backend/simd_test.cpp measures every error against libm in fp64). fp64 goes to libm, and
/// so does fp32 on GPUs, whose functions are as short and as exact.
namespace meshplan::simd {

#ifdef __CUDA_ARCH__
MESHPLAN_INLINE float exp(float x) {
  return ::expf(x);
}
MESHPLAN_INLINE float sigmoid(float x) {
  return __fdividef(1.f, 1.f + ::expf(-x));
}
MESHPLAN_INLINE float tanh(float x) {
  return ::tanhf(x);
}
MESHPLAN_INLINE float erf(float x) {
  return ::erff(x);
}
MESHPLAN_INLINE float log(float x) {
  return ::logf(x);
}
#else

/// e^x within 2 units in the last place; 0 below -87.33 (the smallest normal result), infinity
/// above 88.72. x = n ln 2 + r, |r| <= ln 2 / 2, ln 2 in two parts.
MESHPLAN_INLINE float exp(float x) {
  constexpr float kMagic = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer
  const float clamped = x < -87.3f ? -87.3f : x > 88.7f ? 88.7f : x;
  const float shifted = clamped * 1.44269504f + kMagic;
  const float n = shifted - kMagic;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 0.00138146043f;
  p = p * r + 0.00836871514f;
  p = p * r + 0.0416683878f;
  p = p * r + 0.166665206f;
  p = p * r + 0.499999934f;
  p = p * r * r + r + 1.f;
  // 2^n in two factors: n reaches 128, which one exponent cannot hold.
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kMagic);
  const int32_t half = exponent >> 1;
  const float low = std::bit_cast<float>((half + 127) << 23);
  const float high = std::bit_cast<float>((exponent - half + 127) << 23);
  const float result = p * low * high;
  const float finite = x < -87.33f  ? 0.f
                       : x > 88.72f ? std::numeric_limits<float>::infinity()
                                    : result;
  return x != x ? x : finite;
}

MESHPLAN_INLINE float sigmoid(float x) {
  return 1.f / (1.f + exp(-x));
}

/// Within 4 units in the last place.
MESHPLAN_INLINE float tanh(float x) {
  const float a = x < 0 ? -x : x, u = x * x;
  float p = 0.0150509447f;
  p = p * u - 0.0518218663f;
  p = p * u + 0.13304526f;
  p = p * u - 0.333319542f;
  p = p * u + 0.999999893f;
  const float large = 1.f - 2.f / (exp(2.f * a) + 1.f);
  const float folded = a < 0.625f ? p * a : large;
  return x < 0 ? -folded : x != x ? x : folded;
}

/// Within 3 units in the last place: x P(x^2) up to 1, from there 1 - e^-R(x) with R a fit of
/// -ln erfc; 1 beyond 3.92.
MESHPLAN_INLINE float erf(float x) {
  const float a = x < 0 ? -x : x, u = x * x;
  float p = 7.85386116e-05f;
  p = p * u - 0.000801019357f;
  p = p * u + 0.00518832768f;
  p = p * u - 0.0268538119f;
  p = p * u + 0.112835851f;
  p = p * u - 0.376126258f;
  p = p * u + 1.12837917f;
  const float t = a > 3.92f ? 3.92f : a;
  float q = -0.000185574025f;
  q = q * t + 0.00293960745f;
  q = q * t - 0.0218053189f;
  q = q * t + 0.10303737f;
  q = q * t + 0.638225676f;
  q = q * t + 1.12704004f;
  q = q * t + 0.000353719307f;
  const float large = a > 3.92f ? 1.f : 1.f - exp(-q);
  const float folded = a < 1.f ? p * a : large;
  return x < 0 ? -folded : x != x ? x : folded;
}

/// ln x within 2 units in the last place for normal positive x; -infinity at 0, NaN below.
MESHPLAN_INLINE float log(float x) {
  const int32_t bits = std::bit_cast<int32_t>(x);
  const int32_t above = bits - 0x3f3504f3;  // sqrt(1/2)
  const int32_t exponent = above >> 23;
  const float m = std::bit_cast<float>(bits - (exponent << 23)), f = m - 1.f;
  float p = 0.0674664662f;
  p = p * f - 0.116756469f;
  p = p * f + 0.118881564f;
  p = p * f - 0.124055894f;
  p = p * f + 0.142195533f;
  p = p * f - 0.166679959f;
  p = p * f + 0.200021186f;
  p = p * f - 0.250000096f;
  p = p * f + 0.333333126f;
  const float n = static_cast<float>(exponent);
  const float tail = n * -2.12194440e-4f - 0.5f * f * f + p * f * f * f;
  const float result = n * 0.693359375f + (f + tail);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float edge = x == 0.f  ? -kInfinity
                     : x > 0.f ? result
                               : std::numeric_limits<float>::quiet_NaN();
  return x == kInfinity ? x : edge;
}

#endif

MESHPLAN_INLINE double exp(double x) {
  return std::exp(x);
}
MESHPLAN_INLINE double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}
MESHPLAN_INLINE double tanh(double x) {
  return std::tanh(x);
}
MESHPLAN_INLINE double erf(double x) {
  return std::erf(x);
}
MESHPLAN_INLINE double log(double x) {
  return std::log(x);
}

}  // namespace meshplan::simd
