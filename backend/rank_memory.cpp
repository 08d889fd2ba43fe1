// SPDX-License-Identifier: Apache-2.0
#include "backend/rank_memory.h"

#include <algorithm>

#include "core/error.h"

namespace meshplan {
namespace {

int64_t aligned(int64_t bytes) {
  constexpr int64_t kAlignment = 256;  // of everything in an arena
  return ceilDiv(bytes, kAlignment) * kAlignment;
}

}  // namespace

RankMemory::RankMemory(const RankClass& rankClass, RankGroups& groups, RankDevice& device)
    : rankClass_(rankClass),
      groups_(groups),
      arena_(static_cast<std::byte*>(
          device.allocate(rankClass.arenaBytes.value, "the arena of the plan"))) {
  for (size_t i = 0; i < rankClass.parameters.size(); ++i)
    indexOf_[static_cast<uint32_t>(rankClass.parameters[i].tensor.index())] = i;
  for (const SlotPool& pool : rankClass.slots) slots_[pool.chunk] = pool;
  reachParameters();
}

void RankMemory::reachParameters() {
  for (const ParameterPlace& p : parameters()) {
    const int64_t whole = p.paddedElements(), share = p.shareElements;
    const auto stateBytes =
        share * (p.type.dtype == DType::f64 ? dtypeBytes(DType::f64) : dtypeBytes(DType::f32));
    reach(p.weights, (p.weightsShared ? share : whole) * dtypeBytes(p.type.dtype));
    reach(p.gradient, (p.gradientShared ? share : whole) * dtypeBytes(p.gradientType));
    for (int64_t offset : {p.master, p.states[0], p.states[1]})
      if (offset >= 0) reach(offset, stateBytes);
  }
  used_ = aligned(used_);
}

std::byte* RankMemory::buffer(const Routine& routine, const Call& call, BufferIndex index) {
  const Buffer& b = routine.buffers[index];
  if (b.scope == Buffer::Scope::step)
    throw Error(ErrorKind::internal, "an instruction reads resident '" + b.name + "' as a buffer");
  int64_t base = rankClass_.scratchOffset, end = aligned(b.bytes.value);
  if (b.scope == Buffer::Scope::microBatch) {
    const SlotPool& pool = slots_.at(routine.chunk);
    base = pool.offset + call.slot * pool.slotBytes.value;
    end = pool.slotBytes.value - b.offset;
  }
  reach(base + b.offset, end);
  return arena_ + base + b.offset;
}

int64_t RankMemory::shareStart(const ParameterPlace& p) const {
  return p.shares > 1 ? groups_.over(p.replicas).rank() * p.shareElements : 0;
}

std::byte* RankMemory::ownWeights(const ParameterPlace& p) const {
  const int64_t start = p.weightsShared ? 0 : shareStart(p);
  return weights(p) + start * dtypeBytes(p.type.dtype);
}

std::byte* RankMemory::ownGradient(const ParameterPlace& p) const {
  const int64_t start = p.gradientShared ? 0 : shareStart(p);
  return gradient(p) + start * dtypeBytes(p.gradientType);
}

}  // namespace meshplan
