// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/reduction_plan.h"

#include <numeric>

namespace meshplan {
namespace {

std::vector<int64_t> placesOf(const StridedBox& box, const std::vector<int64_t>& strides,
                              int64_t offset) {
  std::vector<int64_t> places{offset};
  for (size_t d = 0; d < box.extents.size(); ++d) {
    std::vector<int64_t> next;
    next.reserve(places.size() * static_cast<size_t>(box.extents[d]));
    for (const int64_t place : places)
      for (int64_t i = 0; i < box.extents[d]; ++i) next.push_back(place + i * strides[d]);
    places = std::move(next);
  }
  return places;
}

int64_t countOf(const StridedBox& box) {
  return std::accumulate(box.extents.begin(), box.extents.end(), int64_t{1}, std::multiplies<>());
}

/// Merges neighbouring dimensions of a box ordered by its strides in `from`.
StridedBox orderedBySource(const StridedBox& box) {
  StridedBox ordered = box.reversed();
  ordered.simplify();
  ordered = ordered.reversed();
  if (ordered.extents == Shape{1})
    ordered.extents.clear(), ordered.from.clear(), ordered.to.clear();
  return ordered;
}

}  // namespace

ReductionPlan::ReductionPlan(const StridedBox& box) {
  for (size_t d = 0; d < box.extents.size(); ++d) {
    if (box.extents[d] == 1) continue;
    (box.to[d] == 0 ? reduced : kept).add(box.extents[d], box.from[d], box.to[d]);
  }
  kept.fromOffset = box.fromOffset;
  kept.toOffset = box.toOffset;
  kept = orderedBySource(kept);
  reduced = orderedBySource(reduced);
  keptCount = countOf(kept);
  reducedCount = countOf(reduced);
  columns = !kept.extents.empty() && kept.from.back() == 1 && kept.extents.back() >= 4;
}

std::vector<int64_t> fromPlaces(const StridedBox& box) {
  return placesOf(box, box.from, box.fromOffset);
}
std::vector<int64_t> toPlaces(const StridedBox& box) {
  return placesOf(box, box.to, box.toOffset);
}

}  // namespace meshplan
