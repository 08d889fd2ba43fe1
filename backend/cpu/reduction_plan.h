// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/cpu/strided.h"

namespace meshplan {

/// A reduction over a box whose dimensions of stride 0 in `to` are reduced. Kept and reduced
/// dimensions apart, each largest stride first, merged, without extents of 1.
struct ReductionPlan {
  explicit ReductionPlan(const StridedBox& box);

  StridedBox kept, reduced;
  int64_t keptCount = 1, reducedCount = 1;
  /// Columns: neighbours in memory belong to different results.
  bool columns = false;
};

/// Places of a box's elements in `from`, in order.
std::vector<int64_t> fromPlaces(const StridedBox& box);
std::vector<int64_t> toPlaces(const StridedBox& box);

}  // namespace meshplan
