// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <string>

#include "backend/cpu/axis_ranges.h"
#include "backend/cpu/simd.h"
#include "core/operators/support.h"

namespace meshplan {

/// Angles of rotary embeddings (Su et al. 2021, section 3.2.2): pair j of r/2 turns by position
/// times base^(-2j/r). The rotated features are the last r of each head; a pair is (j, j + r/2), or
/// neighbours where `interleaved`.
struct Rotation {
  int64_t dim = 0, rotated = 0, begin = 0, positions = 0;
  double base = 0;
  bool interleaved = false;

  Rotation() = default;
  Rotation(const KernelCall& call, const Shape& x)
      : dim(x[3]),
        rotated(call.op->attributes.getInt("rotary_dim", x[3])),
        begin(rangeOf(call, 2, x[2]).begin),
        positions(x[2]),
        base(call.op->attributes.getFloat("base", 10000)),
        interleaved(call.op->attributes.getInt("interleaved", 0) != 0) {
    if (rotated < 2 || rotated > dim || rotated % 2 != 0)
      rejectInputs("rotary_dim " + std::to_string(rotated) + " does not fit heads of " +
                   std::to_string(dim));
  }
  bool operator==(const Rotation&) const = default;
  /// What pair j turns by from one position to the next.
  MESHPLAN_INLINE double speed(int64_t j) const {
    return std::pow(base, -static_cast<double>(j) / static_cast<double>(rotated / 2));
  }
};

}  // namespace meshplan
