// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "backend/cpu/simd.h"

namespace meshplan {

/// Random numbers by place, so that every rank draws for its part what one device would draw: the
/// output function of SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
/// generators", figure 15) over a counter that starts where the seed and the operator's name say.
class PlacedRandom {
 public:
  PlacedRandom(uint64_t seed, std::string_view name) : PlacedRandom(seed, hashOf(name)) {}
  /// Where a name is only known by its hash: in kernels of GPUs.
  MESHPLAN_INLINE PlacedRandom(uint64_t seed, uint64_t nameHash) : start_(mixed(seed) ^ nameHash) {}

  MESHPLAN_INLINE uint64_t at(uint64_t index) const { return mixed(start_ + index * kStep); }
  /// Uniform in [0, 1), a multiple of 2^-53.
  MESHPLAN_INLINE double uniform(uint64_t index) const {
    return static_cast<double>(at(index) >> 11) * 0x1p-53;
  }
  MESHPLAN_INLINE uint32_t word(uint64_t index) const {
    return static_cast<uint32_t>(at(index) >> 32);
  }

  static uint64_t hashOf(std::string_view name) {  // FNV-1a
    uint64_t hash = 0xcbf29ce484222325;
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
  }

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15;

  static MESHPLAN_INLINE uint64_t mixed(uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }

  uint64_t start_;
};

}  // namespace meshplan
