// SPDX-License-Identifier: Apache-2.0
#include "planner/stage_transfers.h"

#include <algorithm>

#include "planner/operator_binding.h"

namespace meshplan {

LocalOperator::Where StageTransfers::travelWhere(TensorId t, Where where) const {
  const int64_t ranks = plan_.mesh.tensor;
  if (ranks == 1 || !(where.tensor == kReplicate)) return where;
  const TensorType type = layers_.placed(t, where);
  const auto last = static_cast<int8_t>(type.shape.size() - 1);
  const int8_t sequence = graph_.tensor(t).sequenceDim;
  for (int8_t dim : {sequence, last})
    if (dim >= 0 && type.shape[static_cast<size_t>(dim)] % ranks == 0)
      return {shardOn(dim), where.expert};
  return where;
}

Instruction StageTransfers::transfer(Instruction::Kind kind, int64_t boundary,
                                     bool backward) const {
  const bool sends = kind == Instruction::Kind::send;
  Instruction i;
  i.kind = kind;
  i.stream = sends ? Stream::send : Stream::receive;
  i.boundary = static_cast<int32_t>(boundary);
  i.backwardDirection = backward;
  i.peerStage = static_cast<int32_t>((boundary + (sends != backward)) % plan_.mesh.pipeline);
  if (plan_.blockingTransfers && (sends || plan_.schedule != ScheduleKind::interleaved))
    i.drains = streamBit(Stream::compute);
  return i;
}

int32_t StageTransfers::receive(RoutineBuilder& b, int64_t boundary, bool backward,
                                const std::vector<Crossing>& tensors, Versions& into) {
  Instruction receive = transfer(Instruction::Kind::receive, boundary, backward);
  Binding binding;
  std::vector<Version> arrived;
  for (const auto& [t, wanted] : tensors) {
    const Where where = travelWhere(t, wanted);
    const TensorType type = layers_.placed(t, where);
    const Bytes bytes = type.bytes();
    receive.bytes += bytes;
    const BufferIndex buffer =
        b.allocate(receive, graph_.tensor(t).name + (backward ? ".grad" : ""), t, bytes,
                   MemoryCategory::activations);
    arrived.push_back({where, buffer, b.size(), false});
    if (b.binds()) binding.outputs.push_back(bufferOperand(buffer, type));
  }
  int32_t ready = b.add(std::move(receive), {}, std::move(binding));
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& [t, wanted] = tensors[i];
    Version whole = b.convert(t, arrived[i], wanted, false, -1, graph_.tensor(t).name);
    whole.gathered = false;
    ready = std::max(ready, whole.ready);
    into[t].push_back(whole);
  }
  return ready;
}

void StageTransfers::send(RoutineBuilder& b, int64_t boundary, bool backward,
                          const std::vector<TensorId>& tensors,
                          const std::vector<Version>& versions) {
  Instruction send = transfer(Instruction::Kind::send, boundary, backward);
  Binding binding;
  std::vector<int32_t> waits;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Version v = b.convert(tensors[i], versions[i], travelWhere(tensors[i], versions[i].where),
                                false, -1, graph_.tensor(tensors[i]).name);
    const TensorType type = layers_.placed(tensors[i], v.where);
    send.bytes += type.bytes();
    if (b.binds()) binding.inputs.push_back(bufferOperand(v.buffer, type));
    send.reads.push_back(v.buffer);
    waits.push_back(v.ready);
  }
  b.add(std::move(send), waits, std::move(binding));
}

Routine StageTransfers::settled(Routine routine) const {
  if (!plan_.blockingTransfers) return routine;
  const auto first =
      std::find_if(routine.instructions.begin(), routine.instructions.end(),
                   [](const Instruction& i) { return i.kind == Instruction::Kind::compute; });
  if (first != routine.instructions.end())
    first->drains |= streamBit(Stream::send) | streamBit(Stream::receive);
  return routine;
}

}  // namespace meshplan
