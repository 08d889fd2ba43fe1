// SPDX-License-Identifier: Apache-2.0
#include "planner/routine_builder.h"

#include <algorithm>

#include "core/error.h"
#include "planner/operator_binding.h"

namespace meshplan {
namespace {

constexpr int32_t kNever = -1;

/// Per buffer, the last instruction of the routine that reads or writes it.
std::vector<int32_t> lastTouches(const Routine& routine, size_t buffers) {
  std::vector<int32_t> last(buffers, kNever);
  for (size_t i = 0; i < routine.instructions.size(); ++i) {
    const Instruction& instruction = routine.instructions[i];
    for (BufferIndex b : instruction.reads) last[b] = static_cast<int32_t>(i);
    for (BufferIndex b : instruction.writes) last[b] = static_cast<int32_t>(i);
  }
  return last;
}

std::vector<bool> allocatedIn(const Routine& routine, size_t buffers) {
  std::vector<bool> allocated(buffers);
  for (const Instruction& i : routine.instructions)
    for (BufferIndex b : i.allocates) allocated[b] = true;
  return allocated;
}

}  // namespace

int32_t RoutineBuilder::add(Instruction instruction, const std::vector<int32_t>& waits,
                            Binding binding) {
  for (int32_t w : waits)
    if (w >= 0) instruction.waits.push_back(static_cast<uint32_t>(w));
  std::sort(instruction.waits.begin(), instruction.waits.end());
  instruction.waits.erase(std::unique(instruction.waits.begin(), instruction.waits.end()),
                          instruction.waits.end());
  routine_.instructions.push_back(std::move(instruction));
  if (binds()) routine_.bindings.push_back(std::move(binding));
  return size() - 1;
}

BufferIndex RoutineBuilder::allocate(Instruction& by, std::string name, TensorId tensor,
                                     Bytes bytes, MemoryCategory category) {
  const auto index = static_cast<BufferIndex>(buffers_.size());
  buffers_.push_back({std::move(name), tensor, bytes, category, Buffer::Scope::scratch, 0});
  by.allocates.push_back(index);
  by.writes.push_back(index);
  return index;
}

Version RoutineBuilder::convert(TensorId tensor, Version from, LocalOperator::Where where,
                                bool inPlace, int32_t notBefore, const std::string& name) {
  const auto over = [&](MeshAxis axis) {
    from = step(tensor, from, axis, axis == MeshAxis::tensor ? where.tensor : where.expert, inPlace,
                notBefore, name);
  };
  const bool sameDim = where.tensor.kind == Placement::shard && where.tensor == where.expert;
  over(sameDim ? MeshAxis::tensor : MeshAxis::expert);
  over(sameDim ? MeshAxis::expert : MeshAxis::tensor);
  return from;
}

Version RoutineBuilder::step(TensorId tensor, const Version& from, MeshAxis axis, Placement to,
                             bool inPlace, int32_t notBefore, const std::string& name) {
  const bool onTensor = axis == MeshAxis::tensor;
  const Conversion change = conversion(onTensor ? from.where.tensor : from.where.expert, to);
  if (!change.allowed)
    throw Error(ErrorKind::internal, "a strategy asks for Partial values of '" + name + "'");
  if (change.kind == CollectiveKind::none) return from;
  Version result = from;
  (onTensor ? result.where.tensor : result.where.expert) = to;
  result.gathered =
      change.kind == CollectiveKind::allGather || change.kind == CollectiveKind::slice;
  if (change.kind == CollectiveKind::slice)
    return slice(tensor, from, result, axis, notBefore, name);

  LocalOperator::Where whole = result.where;
  (onTensor ? whole.tensor : whole.expert) = kReplicate;
  Instruction instruction;
  instruction.kind = Instruction::Kind::collective;
  instruction.stream = onTensor ? Stream::tensor : Stream::expert;
  instruction.collective = change.kind;
  instruction.axes = axis;
  instruction.bytes = layers_.placed(tensor, whole).bytes();
  instruction.reads = {from.buffer};
  if (change.kind == CollectiveKind::allReduce && inPlace)
    instruction.writes = {from.buffer};
  else
    result.buffer =
        allocate(instruction, name, tensor, layers_.placed(tensor, result.where).bytes(),
                 MemoryCategory::activations);
  Binding binding = conversionBinding(tensor, from, result, axis);
  result.ready = add(std::move(instruction), {from.ready, notBefore}, std::move(binding));
  return result;
}

/// One pass that reads and writes the part.
Version RoutineBuilder::slice(TensorId tensor, const Version& from, Version to, MeshAxis axis,
                              int32_t notBefore, const std::string& name) {
  const TensorType type = layers_.placed(tensor, to.where);
  OperatorWork work;
  work.def = &operatorDef("Slice");
  work.bytes = 2 * static_cast<double>(type.bytes().value);
  work.outputElements = static_cast<double>(type.elements());
  Instruction copy;
  copy.op = layers_.producer(tensor);
  copy.collective = CollectiveKind::slice;
  copy.work = layers_.addWork(work);
  copy.reads = {from.buffer};
  to.buffer = allocate(copy, name, tensor, type.bytes(), MemoryCategory::activations);
  Binding binding = conversionBinding(tensor, from, to, axis);
  binding.part = Binding::Part::copy;
  to.ready = add(std::move(copy), {from.ready, notBefore}, std::move(binding));
  return to;
}

Binding RoutineBuilder::conversionBinding(TensorId tensor, const Version& from, const Version& to,
                                          MeshAxis axis) const {
  Binding binding;
  if (!binds()) return binding;
  const bool onTensor = axis == MeshAxis::tensor;
  const Placement a = onTensor ? from.where.tensor : from.where.expert;
  const Placement b = onTensor ? to.where.tensor : to.where.expert;
  binding.inputs = {bufferOperand(from.buffer, layers_.placed(tensor, from.where))};
  binding.outputs = {bufferOperand(to.buffer, layers_.placed(tensor, to.where))};
  if (b.kind == Placement::shard) binding.cut = b.dim;
  if (a.kind == Placement::shard) binding.join = a.dim;
  binding.axis = axis;
  return binding;
}

void finishLifetimes(Routine& forward, const std::vector<Routine*>& backwards,
                     std::vector<Buffer> buffers) {
  const std::vector<bool> made = allocatedIn(forward, buffers.size());
  std::vector<bool> saved(buffers.size());
  for (Routine* backward : backwards) {
    const std::vector<int32_t> last = lastTouches(*backward, buffers.size());
    const std::vector<bool> own = allocatedIn(*backward, buffers.size());
    for (BufferIndex b = 0; b < buffers.size(); ++b) {
      if (last[b] == kNever || !(made[b] || own[b])) continue;
      backward->instructions[static_cast<size_t>(last[b])].frees.push_back(b);
      saved[b] = saved[b] || made[b];
    }
  }
  const std::vector<int32_t> last = lastTouches(forward, buffers.size());
  for (BufferIndex b = 0; b < buffers.size(); ++b) {
    if (saved[b]) buffers[b].scope = Buffer::Scope::microBatch;
    if (made[b] && !saved[b]) forward.instructions[static_cast<size_t>(last[b])].frees.push_back(b);
  }
  forward.buffers = buffers;
  for (Routine* backward : backwards) backward->buffers = buffers;
}

}  // namespace meshplan
