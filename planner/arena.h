// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace meshplan {

/// A buffer's life in an arena: alive from step `begin` to step `end`, both included.
struct Lifetime {
  int64_t bytes = 0;
  int32_t begin = 0, end = 0;
  int64_t offset = 0;  // the answer
};

/// Gives every lifetime an offset (a multiple of 256 bytes, the alignment of cudaMalloc) such that
/// no two that are alive at once overlap: largest first, each at the lowest gap that fits best.
/// Returns the arena's size, which is at least the largest sum of live bytes. Quadratic in the
/// number of lifetimes.
int64_t planArena(std::vector<Lifetime>& lifetimes);

}  // namespace meshplan
