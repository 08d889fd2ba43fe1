// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/graph.h"
#include "core/training.h"

namespace meshplan {

/// The graph of a whole training step: the forward operators (same ids) in the storage dtype of the
/// precision, then gradient operators in reverse order, then one Update per parameter. Logits are
/// cast to fp32 before a cross-entropy under mixed precision, as Megatron-LM and Hugging Face do,
/// which appends operators but keeps the forward prefix contiguous. Where several consumers
/// contribute to one gradient, a Sum of phase backwardInput adds them; a parameter with several
/// consumers keeps one gradient tensor per consumer (they accumulate into one buffer). Optimizer
/// state, and fp32 master weights under mixed precision, are tensors of kind `state`.
Graph trainingGraph(const Graph& forward, const TrainingOptions& options);

/// Number of forward operators: they are the ids [0, count).
size_t forwardCount(const Graph& training);

}  // namespace meshplan
