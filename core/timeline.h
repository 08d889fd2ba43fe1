// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/program.h"
#include "core/units.h"

namespace meshplan {

/// What happened when, simulated or measured: one span per executed instruction.
struct Span {
  uint16_t rankClass = 0;
  Stream stream = Stream::compute;
  Instruction::Kind kind = Instruction::Kind::compute;
  uint32_t call = 0;         // index into RankClass::calls
  uint32_t instruction = 0;  // index into the routine's instructions
  Seconds start, end;
};

struct MemoryPoint {
  Seconds time;
  Bytes bytes;
};

/// A step's time on one rank, adding up to the step time: `compute` (forward, backward and
/// recomputation on the compute stream), `optimizer` (updates), `exposedCommunication` (the compute
/// stream idle while a collective or transfer of this rank runs), `bubble` (nothing runs).
struct TimeByCategory {
  Seconds compute, optimizer, exposedCommunication, bubble;
  Seconds recompute;      // part of compute
  Seconds communication;  // all of it, hidden or not
  Seconds host{0};        // the compute stream idle because its host had not issued more yet; part
                          // of bubble and exposedCommunication
  Seconds total() const { return compute + optimizer + exposedCommunication + bubble; }
};

struct RankClassSummary {
  TimeByCategory time;
  Bytes peak;
  Seconds peakTime;
  uint32_t peakCall = 0, peakInstruction = 0;  // the owner of the peak
  std::array<Bytes, kMemoryCategories> peakByCategory{};
  std::vector<MemoryPoint> memory;  // steps; empty unless recorded
};

struct Timeline {
  Seconds stepTime;
  std::vector<Span> spans;  // by start time, then rank class, stream; empty unless recorded
  std::vector<RankClassSummary> rankClasses;
  uint64_t events = 0;  // instructions executed

  /// The rank class with the highest peak.
  size_t peakRankClass() const;
};

/// Indices of the spans on a longest chain of waiting that ends at the step's end, in time order.
std::vector<size_t> criticalPath(const Program& program, const Timeline& timeline);

}  // namespace meshplan
