// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "backend/kernel.h"

namespace meshplan {

/// Which random words of an element (PlacedRandom) drop it: those below `drops`; the others are
/// scaled. None is dropped in evaluation.
struct DropoutRule {
  explicit DropoutRule(const KernelCall& call) {
    const double ratio = call.training ? call.op->attributes.getFloat("ratio", 0.5) : 0;
    drops = static_cast<uint64_t>(std::llround(std::clamp(ratio, 0., 1.) * 0x1p32));
    scale = ratio < 1 ? 1 / (1 - ratio) : 0;
  }
  uint64_t drops;
  double scale;
};

}  // namespace meshplan
