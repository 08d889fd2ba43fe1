// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/graph.h"

namespace meshplan {

/// Appends the loss that an exported model lacks and puts it last among the outputs: cross-entropy
/// against labels over the last dimension of the output that holds the logits (before a final
/// softmax), else the mean squared error. Says in `warnings` what was assumed.
void appendLoss(Graph& graph, int64_t batch, std::vector<std::string>& warnings);

}  // namespace meshplan
