// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "core/plan.h"

namespace meshplan {

/// One entry of a stage's order: run the forward or backward of virtual stage `chunk` (0 .. v-1 on
/// this stage) for a micro-batch.
struct ScheduleStep {
  bool backward = false;
  int32_t microBatch = 0;
  int32_t chunk = 0;
};

/// The order in which stage `stage` of `stages` works through `microBatches`.
///   gpipe        all forwards, then all backwards
///   1f1b         stages - stage - 1 warm-up forwards, then one forward one backward
///                (Narayanan et al., SC'21, 2.2)
///   interleaved  1F1B over virtual stages (ibid.); needs microBatches % stages == 0
/// Throws Error(usage) for a count that the schedule does not allow.
std::vector<ScheduleStep> pipelineOrder(ScheduleKind kind, int64_t stage, int64_t stages,
                                        int64_t microBatches, int64_t virtualStages);

/// How many micro-batches per virtual stage a stage holds the activations of at once: every such
/// moment that no other one exceeds in all virtual stages. One for schedules without virtual
/// stages.
std::vector<std::vector<int64_t>> fullestMoments(ScheduleKind kind, int64_t stage, int64_t stages,
                                                 int64_t microBatches, int64_t virtualStages);

/// The largest number of micro-batches whose activations stage `stage` holds at once, per virtual
/// stage.
std::vector<int64_t> inFlight(ScheduleKind kind, int64_t stage, int64_t stages,
                              int64_t microBatches, int64_t virtualStages);

}  // namespace meshplan
