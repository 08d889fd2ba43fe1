// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/reduce.h"

#include <numeric>

#include "backend/cpu/blocks.h"

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

template <class A, class T>
void sumElements(const CpuContext& context, const StridedBox& box, const T* from,
                 const TensorView& to, double factor) {
  reduceBox<Summation, A>(context, box, from, [&](int64_t at, const A* totals, int64_t count) {
    A block[kBlock];
    for (int64_t i = 0; i < count; ++i) block[i] = totals[i] * static_cast<A>(factor);
    storeBlock(to, at, count, block);
  });
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

void sumBox(const CpuContext& context, const StridedBox& box, const TensorView& from,
            const TensorView& to, double factor) {
  switch (from.type.dtype) {
    case DType::f64:
      return sumElements<double>(context, box, from.as<double>(), to, factor);
    case DType::bf16:
      return sumElements<float>(context, box, from.as<BFloat16>(), to, factor);
    default:
      return sumElements<float>(context, box, from.as<float>(), to, factor);
  }
}

StridedBox broadcastBox(const Shape& large, const Shape& small) {
  const std::vector<int64_t> from = denseStrides(large), to = denseStrides(small);
  StridedBox box;
  for (size_t d = 0; d < large.size(); ++d) {
    const size_t skipped = large.size() - small.size();
    const bool repeats = d < skipped || small[d - skipped] != large[d];
    box.add(large[d], from[d], repeats ? 0 : to[d - skipped]);
  }
  return box;
}

}  // namespace meshplan
