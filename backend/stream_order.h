// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>

#include "core/program.h"

namespace meshplan {

/// Memory that an instruction reads or writes.
struct MemoryAccess {
  uintptr_t begin = 0, end = 0;
  bool writes = false;
};

/// Which streams an instruction has to wait for, so that work on several streams touches memory as
/// if it ran in the order in which it is issued: whoever reads waits for the last write, whoever
/// writes for the last write and the reads since. The planner lets buffers of one arena follow each
/// other at the same place, so dependencies between instructions alone are not enough.
///
/// Waiting for a stream means all that was issued on it so far, and what that has waited for.
class StreamOrder {
 public:
  /// Notes an instruction and returns streamBit of each stream that it must wait for.
  uint8_t issue(Stream stream, std::span<const MemoryAccess> accesses);
  /// Everything issued so far has run.
  void clear();

 private:
  /// Counts the instructions of each stream from 1; 0 is none.
  using Position = std::array<int64_t, kStreams>;
  struct Segment {
    uintptr_t end = 0;
    int writer = -1;      // the stream of the last write
    int64_t written = 0;  // and its position there
    Position read = {};   // by stream: the position of the last read since
  };
  using Segments = std::map<uintptr_t, Segment>;  // by begin, not overlapping

  Segments::iterator splitAt(uintptr_t place);
  uint8_t conflicts(int stream, const Segment& segment, bool writes) const;
  void note(int stream, const MemoryAccess& access);

  Position issued_ = {};
  std::array<Position, kStreams> seen_ = {};  // [stream][other]: how much of it has been waited for
  Segments segments_;
};

}  // namespace meshplan
