// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/plan.h"

namespace meshplan {

/// Limits on one integer choice; `exactly` when min == max.
struct ChoiceRange {
  int64_t min = 0, max = INT64_MAX;
  bool allows(int64_t v) const { return min <= v && v <= max; }
  bool exactly() const { return min == max; }
  int64_t valueOr(int64_t fallback) const { return exactly() ? min : fallback; }
};

/// What --strategy says: comma-separated `key=value`, `key<=value` or `key>=value` over dp, tp, pp,
/// ep, vpp, mbs, zero, bucket (MiB), and sp=on|off, schedule=gpipe|1f1b|interleaved,
/// recompute=none|selective|full,
/// transfers=overlapped|blocking, collectives=blocking|overlapped, gather=block|parameter,
/// stages=balanced|even|13:12:12:13 (the blocks of each pipeline chunk, first to last). sp=on
/// requires that everything between the products is split by sequence and every product by
/// features; without `sp` a search mixes both forms as it pays.
struct StrategyFilter {
  ChoiceRange replicas, tensor, pipeline, expert, virtualStages, microBatch, zeroStage, bucketMiB;
  std::optional<bool> sequenceParallel;
  std::optional<ScheduleKind> schedule;
  std::optional<Recompute> recompute;
  std::vector<int64_t> blocksPerChunk;  // empty: the search cuts the stages
  bool blockingTransfers = false, overlapTensor = false, gatherSingly = false, evenStages = false;
  bool empty = true;

  bool allows(const MeshShape& mesh) const {
    return replicas.allows(mesh.replicas()) && tensor.allows(mesh.tensor) &&
           pipeline.allows(mesh.pipeline) && expert.allows(mesh.expert);
  }
};

/// Throws Error(usage) naming the nearest key or value, and for a contradiction (tp=4,tp=8).
StrategyFilter parseStrategy(std::string_view text);

}  // namespace meshplan
