// SPDX-License-Identifier: Apache-2.0
#include "planner/memory_meter.h"

namespace meshplan {

MemoryMeter::MemoryMeter(const RankClass& rankClass, bool record) : record_(record) {
  for (const Buffer& b : rankClass.residents) {
    live_[size_t(b.category)] += b.bytes.value;
    total_ += b.bytes.value;
  }
  notePeak(total_, 0, {});
  this->record(0);
}

void MemoryMeter::allocate(const Routine& routine, std::span<const BufferIndex> buffers,
                           double time, MemoryOwner owner) {
  if (buffers.empty()) return;
  for (BufferIndex b : buffers) {
    live_[size_t(routine.buffers[b].category)] += routine.buffers[b].bytes.value;
    total_ += routine.buffers[b].bytes.value;
  }
  notePeak(total_, time, owner);
  record(time);
}

void MemoryMeter::free(const Routine& routine, std::span<const BufferIndex> buffers, double time) {
  if (buffers.empty()) return;
  for (BufferIndex b : buffers) {
    live_[size_t(routine.buffers[b].category)] -= routine.buffers[b].bytes.value;
    total_ -= routine.buffers[b].bytes.value;
  }
  record(time);
}

void MemoryMeter::apply(const MemoryEffect& effect, double peakTime, MemoryOwner owner) {
  if (total_ + effect.peak > peak_) {
    notePeak(total_ + effect.peak, peakTime, owner);
    for (size_t c = 0; c < kMemoryCategories; ++c) atPeak_[c] += effect.atPeak[c];
  }
  for (size_t c = 0; c < kMemoryCategories; ++c) {
    live_[c] += effect.net[c];
    total_ += effect.net[c];
  }
}

void MemoryMeter::notePeak(int64_t bytes, double time, MemoryOwner owner) {
  if (bytes <= peak_) return;
  peak_ = bytes;
  peakTime_ = time;
  owner_ = owner;
  atPeak_ = live_;
}

void MemoryMeter::record(double time) {
  if (record_) curve_.push_back({Seconds(time), Bytes(total_)});
}

void MemoryMeter::report(RankClassSummary& summary) const {
  summary.peak = Bytes(peak_);
  summary.peakTime = Seconds(peakTime_);
  summary.peakCall = owner_.call;
  summary.peakInstruction = owner_.instruction;
  for (size_t c = 0; c < kMemoryCategories; ++c) summary.peakByCategory[c] = Bytes(atPeak_[c]);
  summary.memory = curve_;
}

}  // namespace meshplan
