// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/blocks.h"
#include "core/plan.h"
#include "planner/search/shardings.h"

namespace meshplan {

/// Sums over the blocks of one pipeline stage, per micro-batch: seconds, bytes and elements. What
/// does not depend on the data axis, the ZeRO stage, the schedule or the batch.
struct StageSums {
  double forward = 0, backward = 0;                // with blocking communication and recomputation
  double hostForward = 0, hostBackward = 0;        // what the host takes to issue them
  double forwardCompute = 0, backwardCompute = 0;  // without communication
  double firstForward = 0, firstBackward = 0;      // compute of the stage's first chunk
  /// Weight gradients that may follow the send of the first chunk's input gradient.
  double afterSend = 0;
  double dense = 0, expert = 0;  // parameter elements
  std::vector<double> saved;     // bytes per virtual stage and micro-batch in flight
  bool operator==(const StageSums&) const = default;
};

/// Neighbouring stages with equal sums: `count` of them from stage `first`.
struct StageRun {
  StageSums sums;
  int64_t first = 0, count = 1;
};

/// The stages of a cut, equal neighbours once: a pipeline of equal layers has three runs however
/// long it is. Chunk c is on stage c % pipeline.
std::vector<StageRun> stageRuns(const BlockChain& chain, const std::vector<BlockCost>& costs,
                                Recompute recompute, const std::vector<int64_t>& starts,
                                int64_t pipeline);

/// Of one block under a kind of recomputation: seconds forward and backward, bytes saved.
double blockSeconds(const BlockCost& block, Recompute recompute);
double blockSaved(const BlockCost& block, Recompute recompute);

}  // namespace meshplan
