// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "core/work.h"

namespace meshplan {

/// A point in shape space: natural logarithms of the extents that decide how far a formula is off.
///   contraction, recurrent  batch, m, n, k
///   convolution             the same of its implicit product, kernel area, stride area
///   attention               batch x heads, queries, keys, head size, and its kind
///   everything else         bytes, bytes per output element, FLOPs per byte
/// Points of different operators, phases or compute dtypes are not compared.
struct WorkShape {
  static constexpr size_t kDimensions = 6;
  std::array<double, kDimensions> at{};

  bool operator==(const WorkShape&) const = default;
};

WorkShape shapeOf(const OperatorWork& work);

/// Squared Euclidean distance: one extent twice as long is ln 2 away.
inline double squaredDistance(const WorkShape& a, const WorkShape& b) {
  double sum = 0;
  for (size_t i = 0; i < WorkShape::kDimensions; ++i)
    sum += (a.at[i] - b.at[i]) * (a.at[i] - b.at[i]);
  return sum;
}

}  // namespace meshplan
