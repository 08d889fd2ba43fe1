// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <span>
#include <vector>

#include "core/timeline.h"
#include "planner/activity.h"

namespace meshplan {

/// Where a change of memory comes from: a call of the rank class and an instruction of its routine.
struct MemoryOwner {
  uint32_t call = 0, instruction = 0;
};

/// Follows the live bytes of a rank class through a step, starting with the residents. Changes must
/// come in time order. Keeps the first highest peak with its categories, and the curve if asked to.
class MemoryMeter {
 public:
  MemoryMeter(const RankClass& rankClass, bool record);

  void allocate(const Routine& routine, std::span<const BufferIndex> buffers, double time,
                MemoryOwner owner);
  void free(const Routine& routine, std::span<const BufferIndex> buffers, double time);
  /// A whole activity during which nothing else changed memory; its peak is at `peakTime`.
  void apply(const MemoryEffect& effect, double peakTime, MemoryOwner owner);

  void report(RankClassSummary& summary) const;

 private:
  void notePeak(int64_t bytes, double time, MemoryOwner owner);
  void record(double time);

  std::array<int64_t, kMemoryCategories> live_{}, atPeak_{};
  int64_t total_ = 0, peak_ = -1;
  double peakTime_ = 0;
  MemoryOwner owner_;
  bool record_;
  std::vector<MemoryPoint> curve_;
};

}  // namespace meshplan
