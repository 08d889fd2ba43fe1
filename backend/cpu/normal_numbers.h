// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/cpu/random.h"

namespace meshplan {

/// Writes numbers N(0, deviation^2) by place: those of the places [begin, end) to the same places
/// of `to`. Box and Muller's transform ("A Note on the Generation of Random Normal Deviates", 1958)
/// of 23 bits each from the halves of a place's word; none is beyond 5.8 deviations.
void drawNormals(PlacedRandom random, float deviation, int64_t begin, int64_t end, float* to);

}  // namespace meshplan
