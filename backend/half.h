// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>

#include "backend/device_code.h"

namespace meshplan {

/// An IEEE 754 binary16 number, rounded to nearest even from fp32; a NaN stays one.
struct Half {
  uint16_t bits = 0;

  Half() = default;
  MESHPLAN_DEVICE_CODE explicit Half(float value) {
#ifdef __CUDA_ARCH__
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
#else
    bits = narrowed(value);
#endif
  }
  MESHPLAN_DEVICE_CODE operator float() const {
#ifdef __CUDA_ARCH__
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(bits));
    return wide;
#else
    return widened(bits);
#endif
  }

  static float widened(uint16_t bits) {
    const uint32_t sign = uint32_t(bits & 0x8000) << 16, rest = bits & 0x7fff;
    if (rest >= 0x7c00) return std::bit_cast<float>(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    // Numbers below 2^-14 have no leading one: the scale of 2^112 makes one.
    const float scaled = std::bit_cast<float>(rest << 13) * 0x1p112f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(scaled));
  }
  static uint16_t narrowed(float value) {
    const uint32_t wide = std::bit_cast<uint32_t>(value), sign = wide >> 16 & 0x8000;
    const uint32_t rest = wide & 0x7fffffff;
    if (rest > 0x7f800000) return uint16_t(sign | 0x7e00);
    if (rest >= 0x477ff000) return uint16_t(sign | 0x7c00);  // 65520 and more
    if (rest < 0x38800000) {  // below 2^-14: adding 0.5 leaves the bits of the result, rounded
      const float shifted = std::bit_cast<float>(rest) + 0.5f;
      return uint16_t(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000));
    }
    return uint16_t(sign | (rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13);
  }
};

}  // namespace meshplan
