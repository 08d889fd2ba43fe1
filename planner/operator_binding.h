// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/binding.h"
#include "planner/layer_cache.h"

namespace meshplan {

/// The tensor that `t` is a view of, through any number of views: itself where no view made it.
TensorId viewRoot(const Graph& graph, TensorId t);

/// How an operator's work is split: its strategy and the extents of its nest for one micro-batch of
/// an expert-parallel group. Inputs and outputs are still to be added.
Binding bindingOf(const ScaledOperator& forward, const OperatorStrategy& strategy);

/// What nobody computes (data, labels, constants, or views of them), placed as said.
Operand inputOperand(TensorId root, const TensorType& type, LocalOperator::Where where);
Operand bufferOperand(uint32_t buffer, const TensorType& type, int64_t offset = 0);
Operand parameterOperand(Operand::Place place, TensorId parameter, const TensorType& type);

}  // namespace meshplan
