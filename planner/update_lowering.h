// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "core/program.h"
#include "planner/chunk_parameters.h"

namespace meshplan {

struct UpdateRoutines {
  /// In fp16: all that has to be done for every chunk before any is updated.
  std::optional<Routine> check;
  Routine update;
};

/// The optimizer step of the parameters that a chunk owns: sums what is still Partial (over the
/// tensor axis, and over the stages of a tied parameter), updates the rank's share in one fused
/// pass, gathers the updated weights under ZeRO-1 and ZeRO-2. In fp16 the summed gradients are
/// first looked through for overflows.
UpdateRoutines lowerUpdate(const TrainingModel& model, const Plan& plan, LayerCache& layers,
                           int64_t chunk, std::vector<LocalParameter> parameters);

/// Between checks and updates: all ranks learn whether any gradient has overflowed. Nothing where
/// there is one rank, or another precision than fp16.
std::optional<Routine> lowerOverflow(const Plan& plan, LayerCache& layers, int64_t stage);

}  // namespace meshplan
