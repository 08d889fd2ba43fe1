// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "planner/routine_builder.h"

namespace meshplan {

/// A cross-entropy over a split vocabulary: every rank makes the statistics of its part (per row:
/// maximum, sum of exponentials, logit of the label, as Megatron-LM's vocabulary-parallel loss
/// shares), all gather them, and each merges them into the loss. The gathered ones serve the
/// gradient, too.
struct SplitLoss {
  Version statistics, loss;
};

/// Whether the strategy splits an axis that a loss has statistics over.
bool isSplitLoss(const LocalLayer& layer, const OperatorStrategy& strategy);

/// The gathered statistics: [ranks, rows..., 3].
TensorType gatheredStatistics(const LocalLayer& layer, int64_t ranks);

/// Appends the three instructions. `compute` and `binding` are the operator's own, reading logits
/// and labels; `output` is the loss tensor.
SplitLoss lowerSplitLoss(RoutineBuilder& b, LayerCache& layers, const LocalLayer& layer,
                         const std::string& name, TensorId output, Instruction compute,
                         const std::vector<int32_t>& waits, Binding binding);

}  // namespace meshplan
