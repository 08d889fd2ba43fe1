// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "core/plan.h"
#include "core/program.h"
#include "planner/chunk_parameters.h"
#include "planner/update_lowering.h"

namespace meshplan {

/// The instruction lists of one chunk. `backwardLast` is present when the last micro-batch does
/// more than the others (it reduces the gradients).
struct ChunkRoutines {
  Routine forward, backward;
  std::optional<Routine> backwardLast;
  UpdateRoutines updates;
  std::vector<LocalParameter> parameters;
};

/// Lowers blocks [plan.chunkStarts[chunk], plan.chunkStarts[chunk + 1]): forward operators with the
/// conversions their operands need; gradient operators in reverse with conversions of gradients,
/// recomputation as the plan says, gradient buckets; then the optimizer step. Conversions, once
/// done, are shared by all readers. An operand that was gathered from shards is kept as the shard
/// and gathered again for the backward pass, beside the input gradient (Korthikanti et al.,
/// section 4.2.2). Views make no instruction and share their operand's buffer. ZeRO-3 gathers a
/// block's weights while the block before it runs and drops them after it, as FSDP does.
ChunkRoutines lowerChunk(const TrainingModel& model, const Plan& plan, LayerCache& layers,
                         int64_t chunk);

}  // namespace meshplan
