// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/normal_numbers.h"

#include <cmath>

#include "backend/cpu/simd.h"

namespace meshplan {
namespace {

/// sin(2 pi x) for |x| <= 1/4: its Taylor series, within 6e-8.
MESHPLAN_INLINE float sineOfTurn(float x) {
  const float u = x * x;
  float p = -15.0946426f;
  p = p * u + 42.0586940f;
  p = p * u - 76.7058598f;
  p = p * u + 81.6052493f;
  p = p * u - 41.3417022f;
  p = p * u + 6.28318531f;
  return p * x;
}

}  // namespace

MESHPLAN_SIMD void drawNormals(PlacedRandom random, float deviation, int64_t begin, int64_t end,
                               float* to) {
  for (int64_t i = begin; i < end; ++i) {
    const uint64_t word = random.at(static_cast<uint64_t>(i));
    // 23 bits each: exact in fp32, and the middle of a step so that the logarithm is finite.
    const auto high = static_cast<int32_t>(word >> 41), low = static_cast<int32_t>(word & 0x7fffff);
    const float u = (static_cast<float>(high) + 0.5f) * 0x1p-23f;
    const float turn = static_cast<float>(low) * 0x1p-23f - 0.5f;
    const float angle = (turn < 0 ? -turn : turn) - 0.25f;
    to[i] = deviation * std::sqrt(-2.f * simd::log(u)) * sineOfTurn(angle);
  }
}

}  // namespace meshplan
