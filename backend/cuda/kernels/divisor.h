// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>

#include "backend/cpu/simd.h"

namespace meshplan::device {

/// Division by a number that is known when a kernel starts: a multiplication and a shift for
/// dividends below 2^31 (Granlund, Montgomery 1994, figure 4.1), plain division beyond.
class Divisor {
 public:
  Divisor() = default;
  /// `by` is positive.
  explicit Divisor(int64_t by) : by_(by) {
    if (by >= kLimit) return;
    shift_ = std::bit_width(static_cast<uint64_t>(by - 1));
    factor_ = static_cast<uint32_t>(
        ((uint64_t{1} << 32) * ((uint64_t{1} << shift_) - static_cast<uint64_t>(by))) /
            static_cast<uint64_t>(by) +
        1);
  }

  MESHPLAN_INLINE int64_t by() const { return by_; }
  MESHPLAN_INLINE int64_t quotient(int64_t n) const {
    if (n >= kLimit || by_ >= kLimit) return n / by_;
    const auto small = static_cast<uint32_t>(n);
    const auto high = static_cast<uint32_t>(uint64_t{small} * factor_ >> 32);
    return (small + high) >> shift_;
  }

 private:
  static constexpr int64_t kLimit = int64_t{1} << 31;

  int64_t by_ = 1;
  uint32_t factor_ = 1;
  int32_t shift_ = 0;
};

}  // namespace meshplan::device
