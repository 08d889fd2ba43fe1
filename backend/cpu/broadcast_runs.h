// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/tensor.h"

namespace meshplan {

/// Runs of the innermost dimensions of `shape` over which each operand, broadcast to it from the
/// right, is either dense or constant.
struct BroadcastRuns {
  BroadcastRuns(const Shape& shape, std::span<const Shape> operands);

  int64_t rows = 1, run = 1;
  std::vector<bool> constant;                 // per operand, within a run
  std::vector<int64_t> extents;               // of the dimensions that number the rows
  std::vector<std::vector<int64_t>> strides;  // per operand and such dimension, in elements
};

}  // namespace meshplan
