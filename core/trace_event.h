// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace meshplan {

/// One event of a timeline file, whoever wrote it. Processes and threads are told apart by texts
/// (numbers as they are written). Times in nanoseconds; numbers that an event has not are -1.
struct TraceEvent {
  /// slice: from `begin` for `duration`. begin, end: of a slice on its thread. counter: `value`
  /// from `begin` on, of bytes where `bytes` is not -1. processName, threadName: `name` is its
  /// name; processOrder, threadOrder: `value` is its place. flowBegin, flowEnd: `flow` ties what
  /// runs on the one thread at `begin` to what runs on the other.
  enum class Kind : uint8_t {
    slice,
    begin,
    end,
    counter,
    processName,
    threadName,
    processOrder,
    threadOrder,
    flowBegin,
    flowEnd
  };
  Kind kind = Kind::slice;
  std::string process, thread, name, category, phase;
  int64_t begin = 0, duration = 0;
  int64_t microBatch = -1, chunk = -1, bytes = -1;
  uint64_t flow = 0;
  double value = 0;
};
using OnTraceEvent = std::function<void(const TraceEvent&)>;

/// Reads a trace in Perfetto's protobuf packet by packet, as writePerfettoTrace makes it: names are
/// in the events themselves. Throws Error(input) naming the file for anything else.
void readPerfettoEvents(const std::string& path, const OnTraceEvent& onEvent);

}  // namespace meshplan
