// SPDX-License-Identifier: Apache-2.0
#include "planner/split_loss.h"

#include "planner/operator_binding.h"

namespace meshplan {
namespace {

constexpr int64_t kStatistics = 3;

TensorType ownStatistics(const LocalLayer& layer) {
  TensorType own = layer.forward.inputs[1];
  own.dtype = layer.forward.outputs[0].dtype;
  own.shape.push_back(kStatistics);
  own.shape.insert(own.shape.begin(), 1);
  return own;
}

OperatorWork mergeWork(const TensorType& statistics) {
  OperatorWork work;
  work.def = &operatorDef("ReduceLogSumExp");
  work.bytes = static_cast<double>(statistics.bytes().value);
  work.flops = static_cast<double>(statistics.elements());
  work.outputElements = 1;
  return work;
}

}  // namespace

bool isSplitLoss(const LocalLayer& layer, const OperatorStrategy& strategy) {
  return layer.forward.work.def->opClass == OpClass::loss && strategy.tensor >= 0 &&
         layer.scaled.nest.axes[static_cast<size_t>(strategy.tensor)].kind == AxisKind::normalised;
}

TensorType gatheredStatistics(const LocalLayer& layer, int64_t ranks) {
  TensorType all = ownStatistics(layer);
  all.shape.front() = ranks;
  return all;
}

SplitLoss lowerSplitLoss(RoutineBuilder& b, LayerCache& layers, const LocalLayer& layer,
                         const std::string& name, TensorId output, Instruction compute,
                         const std::vector<int32_t>& waits, Binding binding) {
  const TensorType own = ownStatistics(layer),
                   all = gatheredStatistics(layer, layers.mesh().tensor),
                   lossType = layer.forward.outputs[0];
  Instruction gather, finish = compute;
  Binding gathered, merged = binding;
  const auto allocate = [&](Instruction& by, const TensorType& type) {
    return b.allocate(by, name + ".statistics", {}, type.bytes(), MemoryCategory::activations);
  };
  const BufferIndex part = allocate(compute, own);
  binding.part = Binding::Part::statistics;
  binding.outputs = {bufferOperand(part, own)};
  const int32_t made = b.add(std::move(compute), waits, std::move(binding));

  gather.kind = Instruction::Kind::collective;
  gather.stream = Stream::tensor;
  gather.collective = CollectiveKind::allGather;
  gather.axes = MeshAxis::tensor;
  gather.bytes = all.bytes();
  gather.reads = {part};
  SplitLoss result;
  result.statistics = {layer.forward.outputWhere[0], allocate(gather, all), b.size(), false};
  gathered.inputs = {bufferOperand(part, own)};
  gathered.outputs = {bufferOperand(result.statistics.buffer, all)};
  gathered.join = 0;
  b.add(std::move(gather), {made}, std::move(gathered));

  finish.work = layers.addWork(mergeWork(all));
  finish.reads = {result.statistics.buffer};
  finish.waits.clear();
  result.loss = {layer.forward.outputWhere[0],
                 b.allocate(finish, name, output, lossType.bytes(), MemoryCategory::activations),
                 b.size(), false};
  merged.part = Binding::Part::finish;
  merged.inputs = {bufferOperand(result.statistics.buffer, all)};
  merged.outputs = {bufferOperand(result.loss.buffer, lossType)};
  b.add(std::move(finish), {result.statistics.ready}, std::move(merged));
  return result;
}

}  // namespace meshplan
