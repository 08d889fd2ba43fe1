// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>

#include "backend/device_code.h"

namespace meshplan {

/// The upper half of an fp32 number, rounded to nearest even; a NaN stays one.
struct BFloat16 {
  uint16_t bits = 0;

  BFloat16() = default;
  MESHPLAN_DEVICE_CODE explicit BFloat16(float value) {
#ifdef __CUDA_ARCH__
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
#else
    const uint32_t wide = std::bit_cast<uint32_t>(value);
    const uint32_t rounded = wide + 0x7fff + (wide >> 16 & 1);
    bits = static_cast<uint16_t>((value == value ? rounded : wide | 0x400000) >> 16);
#endif
  }
  MESHPLAN_DEVICE_CODE operator float() const {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
};

}  // namespace meshplan
