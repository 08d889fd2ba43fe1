// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/collective.h"
#include "core/operator.h"
#include "core/plan.h"

namespace meshplan {

/// Where a tensor is on one mesh axis, in the terms of PyTorch DTensor and GSPMD: every rank holds
/// all of it, rank i holds the i-th slice of a dimension, or every rank holds a summand.
struct Placement {
  enum Kind : uint8_t { replicate, shard, partial };
  Kind kind = replicate;
  int8_t dim = -1;  // of shard
  bool operator==(const Placement&) const = default;
};
inline constexpr Placement kReplicate{Placement::replicate, -1};
inline constexpr Placement kPartial{Placement::partial, -1};
constexpr Placement shardOn(int8_t dim) {
  return {Placement::shard, dim};
}
std::string placementText(Placement p);  // "R", "S(1)", "P"

/// The collective that changes `from` into `to` on one mesh axis:
///   Partial→Replicate all-reduce, Partial→Shard reduce-scatter, Shard→Replicate all-gather,
///   Shard(i)→Shard(j) all-to-all, Replicate→Shard a local slice, equal none.
/// Nothing else may become Partial: `allowed` is false then (dividing or zero-padding never pays).
struct Conversion {
  CollectiveKind kind = CollectiveKind::none;
  bool allowed = true;
};
Conversion conversion(Placement from, Placement to);

/// The axis that a dimension can be split along: the outermost it walks with extent > 1 (the
/// outermost if all are 1).
int8_t splitAxis(const LoopNest& nest, const DimWalk& walk);

/// True when a mesh axis of `ranks` can be given to `choice`: the axis exists, its kind allows a
/// split, its extent divides by `ranks`, and every dimension that walks it walks it outermost.
bool splittable(const LoopNest& nest, int8_t choice, int64_t ranks);

/// The placements that a strategy choice implies on its mesh axis for a tensor with this walk. An
/// operand that does not walk the split axis is replicated; a result that does not is Partial,
/// unless the axis is normalised (the operator's own small collective makes the result whole).
Placement operandPlacement(const LoopNest& nest, const TensorWalk& walk, int8_t choice);
Placement resultPlacement(const LoopNest& nest, const TensorWalk& walk, int8_t choice);

}  // namespace meshplan
