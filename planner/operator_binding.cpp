// SPDX-License-Identifier: Apache-2.0
#include "planner/operator_binding.h"

namespace meshplan {
namespace {

int8_t shardDim(Placement p) {
  return p.kind == Placement::shard ? p.dim : int8_t{-1};
}

}  // namespace

TensorId viewRoot(const Graph& graph, TensorId t) {
  for (;;) {
    const OpId producer = graph.tensor(t).producer;
    if (!producer.valid() || graph.op(producer).def->opClass != OpClass::view) return t;
    t = graph.op(producer).inputs[0];
  }
}

Binding bindingOf(const ScaledOperator& forward, const OperatorStrategy& strategy) {
  Binding binding;
  binding.strategy = strategy;
  for (const Axis& axis : forward.nest.axes) binding.extents.push_back(axis.extent);
  return binding;
}

Operand inputOperand(TensorId root, const TensorType& type, LocalOperator::Where where) {
  Operand operand;
  operand.place = Operand::Place::input;
  operand.tensorDim = shardDim(where.tensor);
  operand.expertDim = shardDim(where.expert);
  operand.index = static_cast<uint32_t>(root.index());
  operand.type = type;
  return operand;
}

Operand bufferOperand(uint32_t buffer, const TensorType& type, int64_t offset) {
  Operand operand;
  operand.index = buffer;
  operand.offset = offset;
  operand.type = type;
  return operand;
}

Operand parameterOperand(Operand::Place place, TensorId parameter, const TensorType& type) {
  Operand operand;
  operand.place = place;
  operand.index = static_cast<uint32_t>(parameter.index());
  operand.type = type;
  return operand;
}

}  // namespace meshplan
