// SPDX-License-Identifier: Apache-2.0
#include "core/placement.h"

namespace meshplan {
namespace {

int8_t shardedDim(const LoopNest& nest, const TensorWalk& walk, int8_t axis) {
  for (size_t d = 0; d < walk.size(); ++d)
    if (splitAxis(nest, walk[d]) == axis) return static_cast<int8_t>(d);
  return -1;
}

bool outermostWhereWalked(const LoopNest& nest, const std::vector<TensorWalk>& walks, int8_t axis) {
  for (const TensorWalk& walk : walks)
    for (const DimWalk& d : walk)
      if (d.has(axis) && splitAxis(nest, d) != axis) return false;
  return true;
}

}  // namespace

std::string placementText(Placement p) {
  switch (p.kind) {
    case Placement::replicate:
      return "R";
    case Placement::shard:
      return "S(" + std::to_string(p.dim) + ")";
    case Placement::partial:
      break;
  }
  return "P";
}

Conversion conversion(Placement from, Placement to) {
  if (from == to) return {CollectiveKind::none, true};
  switch (to.kind) {
    case Placement::partial:
      return {CollectiveKind::none, false};
    case Placement::replicate:
      return {
          from.kind == Placement::partial ? CollectiveKind::allReduce : CollectiveKind::allGather,
          true};
    case Placement::shard:
      break;
  }
  if (from.kind == Placement::partial) return {CollectiveKind::reduceScatter, true};
  if (from.kind == Placement::shard) return {CollectiveKind::allToAll, true};
  return {CollectiveKind::slice, true};
}

int8_t splitAxis(const LoopNest& nest, const DimWalk& walk) {
  for (int8_t a : {walk.outer, walk.middle, walk.inner})
    if (a != kNoAxis && nest.axes[static_cast<size_t>(a)].extent > 1) return a;
  return walk.outer;
}

bool splittable(const LoopNest& nest, int8_t choice, int64_t ranks) {
  if (choice < 0 || static_cast<size_t>(choice) >= nest.axes.size()) return false;
  const Axis& axis = nest.axes[static_cast<size_t>(choice)];
  const bool kindAllows = axis.kind == AxisKind::parallel || axis.kind == AxisKind::reduce ||
                          axis.kind == AxisKind::normalised;
  return kindAllows && axis.extent % ranks == 0 && axis.extent >= ranks &&
         outermostWhereWalked(nest, nest.inputs, choice) &&
         outermostWhereWalked(nest, nest.outputs, choice);
}

Placement operandPlacement(const LoopNest& nest, const TensorWalk& walk, int8_t choice) {
  if (choice == kPartialThrough) return kPartial;
  if (choice == kReplicated) return kReplicate;
  const int8_t dim = shardedDim(nest, walk, choice);
  return dim < 0 ? kReplicate : shardOn(dim);
}

Placement resultPlacement(const LoopNest& nest, const TensorWalk& walk, int8_t choice) {
  if (choice == kPartialThrough) return kPartial;
  if (choice == kReplicated) return kReplicate;
  const int8_t dim = shardedDim(nest, walk, choice);
  if (dim >= 0) return shardOn(dim);
  const bool whole = nest.axes[static_cast<size_t>(choice)].kind == AxisKind::normalised;
  return whole ? kReplicate : kPartial;
}

}  // namespace meshplan
