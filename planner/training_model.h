// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/backward.h"
#include "core/blocks.h"
#include "core/model.h"

namespace meshplan {

/// A model prepared for planning: its training graph, the chain of blocks, and the links from each
/// forward operator to what the backward pass does for it. Immutable once made; shared by search,
/// lowering and reports.
struct TrainingModel {
  Graph graph;
  size_t forwardOps = 0;
  BlockChain chain;
  TrainingOptions options;
  int64_t referenceBatch = 1;
  int64_t tokensPerSample = 1;

  /// Per forward operator: its gradient operators, in execution order (Sums of its output gradients
  /// apart).
  std::vector<std::vector<OpId>> gradients;
  /// Per forward tensor: the Sum operator that adds its gradients, if any.
  std::vector<OpId> gradientSum;
  /// Per parameter tensor: its Update operator.
  std::vector<OpId> updateOf;
  /// Per tensor: whether the backward pass makes a gradient of it.
  std::vector<bool> hasGradient;
  /// Per block: whether full recomputation applies to it (repeated layers; all but the loss where
  /// nothing repeats).
  std::vector<bool> recomputable;
};

TrainingModel prepareTraining(const Model& model, const TrainingOptions& options);

/// Model FLOPs of one sample's forward and backward pass, without recomputation: what MFU counts.
Flops modelFlopsPerSample(const TrainingModel& model);

}  // namespace meshplan
