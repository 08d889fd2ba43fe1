// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/broadcast_runs.h"

#include <algorithm>

namespace meshplan {
namespace {

/// Element strides of an operand broadcast from the right; 0 where it repeats.
std::vector<int64_t> broadcastStrides(const Shape& operand, const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 0);
  int64_t stride = 1;
  for (size_t i = operand.size(); i-- > 0;) {
    const size_t d = i + shape.size() - operand.size();
    strides[d] = operand[i] == 1 ? 0 : stride;
    stride *= operand[i];
  }
  return strides;
}

}  // namespace

BroadcastRuns::BroadcastRuns(const Shape& shape, std::span<const Shape> operands)
    : constant(operands.size()), strides(operands.size()) {
  std::vector<std::vector<int64_t>> full;
  for (const Shape& s : operands) full.push_back(broadcastStrides(s, shape));
  std::vector<int64_t> innerStride(operands.size(), 0);
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] == 1) continue;
    bool merges = true;
    for (size_t k = 0; k < operands.size(); ++k) {
      const int64_t previous = extents.empty() ? innerStride[k] : strides[k].back();
      const int64_t extent = extents.empty() ? run : extents.back();
      merges = merges && full[k][d] == previous * extent;
    }
    if (extents.empty() && run == 1) {
      for (size_t k = 0; k < operands.size(); ++k) innerStride[k] = full[k][d];
      run = shape[d];
    } else if (merges) {
      (extents.empty() ? run : extents.back()) *= shape[d];
    } else {
      extents.push_back(shape[d]);
      for (size_t k = 0; k < operands.size(); ++k) strides[k].push_back(full[k][d]);
    }
  }
  std::reverse(extents.begin(), extents.end());
  for (size_t k = 0; k < operands.size(); ++k) {
    std::reverse(strides[k].begin(), strides[k].end());
    constant[k] = innerStride[k] == 0;
  }
  for (int64_t extent : extents) rows *= extent;
}

}  // namespace meshplan
