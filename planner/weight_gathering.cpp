// SPDX-License-Identifier: Apache-2.0
#include "planner/weight_gathering.h"

#include <algorithm>

#include "planner/operator_binding.h"

namespace meshplan {

std::vector<WeightGathering::Gathered> WeightGathering::gathersOf(size_t block) const {
  std::vector<Gathered> gathers;
  const Block& range = model_.chain.blocks[block];
  std::vector<bool> seen(parameters_.all().size());
  for (uint32_t i = range.begin; i < range.end; ++i)
    for (TensorId t : model_.graph.op(OpId(i)).inputs) {
      const int index = parameters_.indexOf(t);
      if (index < 0 || seen[static_cast<size_t>(index)]) continue;
      seen[static_cast<size_t>(index)] = true;
      const LocalParameter& p = parameters_.at(t);
      if (plan_.mesh.size(p.replicas) <= 1) continue;
      auto same = std::find_if(gathers.begin(), gathers.end(),
                               [&](const Gathered& g) { return g.replicas == p.replicas; });
      if (same == gathers.end() || plan_.gatherSingly)
        same = gathers.insert(gathers.end(), {p.replicas, {}, {}});
      same->parameters.push_back(t);
      same->bytes += p.weightBytes();
    }
  return gathers;
}

void WeightGathering::beginBlock(RoutineBuilder& b, size_t block) {
  block_ = block;
  gathered_.clear();
  if (plan_.zeroStage < 3) return;
  gathered_ = gathersOf(block);
  if (plan_.gatherSingly) return;
  const int32_t notBefore = blockEnds_.size() < 2 ? -1 : blockEnds_[blockEnds_.size() - 2];
  for (Gathered& g : gathered_) gather(b, g, notBefore, 0);
}

void WeightGathering::gather(RoutineBuilder& b, Gathered& g, int32_t notBefore,
                             uint8_t drains) const {
  Instruction gather;
  gather.kind = Instruction::Kind::collective;
  gather.stream = Stream::data;
  gather.collective = CollectiveKind::allGather;
  gather.axes = g.replicas;
  gather.bytes = g.bytes;
  gather.drains = drains;
  g.buffer = b.allocate(gather, blockName(model_.graph, model_.chain.blocks[block_]) + ".weights",
                        {}, g.bytes, MemoryCategory::weights);
  Binding binding;
  int64_t offset = 0;
  for (size_t i = 0; b.binds() && i < g.parameters.size(); ++i) {
    const LocalParameter& p = parameters_.at(g.parameters[i]);
    binding.inputs.push_back(parameterOperand(Operand::Place::weights, g.parameters[i], p.type));
    binding.outputs.push_back(bufferOperand(g.buffer, p.type, offset));
    offset += p.weightBytes().value;
  }
  g.ready = b.add(std::move(gather), {notBefore}, std::move(binding));
}

Operand WeightGathering::read(RoutineBuilder& b, TensorId parameter, Instruction& instruction,
                              std::vector<int32_t>& waits) {
  for (Gathered& g : gathered_) {
    int64_t offset = 0;
    for (TensorId t : g.parameters) {
      if (t == parameter) {
        if (g.ready < 0) gather(b, g, -1, streamBit(Stream::compute));
        waits.push_back(g.ready);
        instruction.reads.push_back(g.buffer);
        return bufferOperand(g.buffer, {}, offset);
      }
      offset += parameters_.at(t).weightBytes().value;
    }
  }
  return parameterOperand(Operand::Place::weights, parameter, {});
}

}  // namespace meshplan
