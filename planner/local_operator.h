// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/placement.h"
#include "core/work.h"
#include "planner/training_model.h"

namespace meshplan {

/// An operator with the batch scaled to `samples` (the micro-batch of one expert-parallel group),
/// not yet sharded. Gradient operators see their forward operator's nest through their slots.
struct ScaledOperator {
  LoopNest nest;
  std::vector<TensorType> inputs, outputs;
  int8_t batchAxis = kNoAxis;     // the axis that grows with the batch
  int8_t sequenceAxis = kNoAxis;  // the axis that grows with the sequence
};
/// Throws Error(usage) when a batch dimension does not scale to a whole number.
ScaledOperator scaleForward(const TrainingModel& model, OpId forward, int64_t samples);
ScaledOperator scaleGradient(const TrainingModel& model, const ScaledOperator& forward,
                             OpId gradient, int64_t samples);

/// The ranks inside a stage that operators can be split over.
struct StageMesh {
  int64_t tensor = 1, expert = 1;
  int64_t samples = 1;  // micro-batch x expert
};

/// What one rank holds and does of an operator under a strategy: local extents, local types, and
/// the placement of every tensor on the tensor and expert mesh axes.
struct LocalOperator {
  struct Where {
    Placement tensor, expert;
    bool operator==(const Where&) const = default;
  };
  std::vector<TensorType> inputs, outputs;
  std::vector<Where> inputWhere, outputWhere;
  OperatorWork work;
};

/// True when every split of the strategy is allowed by the operator (axis kinds, divisibility,
/// joint divisibility).
bool applicable(const ScaledOperator& op, const OperatorStrategy& strategy, const StageMesh& mesh);

LocalOperator localise(const TrainingModel& model, OpId id, const ScaledOperator& op,
                       const OperatorStrategy& strategy, const StageMesh& mesh,
                       double forwardFlops);

/// All strategies worth trying for an operator, the replicated one first: on the tensor axis each
/// splittable loop axis (and passing Partial through, for linear operators of one operand: a
/// residual stream of summands would be a numerical adventure); on the expert axis the experts of
/// an expert-parallel operator and of elementwise operators that follow one, else the batch. With
/// `sequenceParallel` false nothing splits the sequence. Where there is a sequence the tensor axis
/// does not split the batch: the data axis does exactly that, and hides its communication better.
std::vector<OperatorStrategy> strategiesOf(const TrainingModel& model, OpId forward,
                                           const ScaledOperator& op, const StageMesh& mesh,
                                           bool sequenceParallel);

/// Bytes of the statistics that all ranks gather when a loss splits the `axis` it normalises: three
/// fp32 per row and rank (SplitLoss); 0 for anything else, and for gradients, which read them
/// again.
Bytes statisticBytes(const Operator& op, const LoopNest& nest, const LocalOperator& local,
                     int8_t axis, int64_t ranks);

/// The local type of a tensor with the batch scaled to `samples` and placed as said.
TensorType placedType(TensorType scaled, LocalOperator::Where where, const StageMesh& mesh);
TensorType scaledType(const TrainingModel& model, TensorId tensor, int64_t samples);

}  // namespace meshplan
