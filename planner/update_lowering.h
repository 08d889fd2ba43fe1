// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/program.h"
#include "planner/chunk_parameters.h"

namespace meshplan {

/// The optimizer step of the parameters that a chunk owns: sums what is still Partial (over the
/// tensor axis, and over the stages of a tied parameter), updates the rank's share in one fused
/// pass, gathers the updated weights under ZeRO-1 and ZeRO-2.
Routine lowerUpdate(const TrainingModel& model, const Plan& plan, LayerCache& layers, int64_t chunk,
                    std::vector<LocalParameter> parameters);

}  // namespace meshplan
