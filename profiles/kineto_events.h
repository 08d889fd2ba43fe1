// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "profiles/device_name.h"

namespace meshplan {

/// One event of a trace of PyTorch's profiler (Kineto, output_json.cpp) with the arguments that
/// tell what was measured. Numbers are -1 and texts empty where the event has none; lists are JSON.
struct KinetoEvent {
  std::string phase, category, name;
  std::string process, thread;
  double start = -1, duration = -1;  // microseconds
  int64_t externalId = -1, correlation = -1, sequence = -1;
  std::string dims, types, values;
  std::string collective, dtype, group, groupDescription, groupRanks, inSplit, outSplit;
  int64_t inElements = -1, outElements = -1, groupSize = -1, order = -1;  // order: "Seq"
};

/// What a trace says beside its events.
struct KinetoHeader {
  ReportedDevice device;  // the first
  int64_t devices = 0;
  std::string host, ncclVersion, cudaVersion;
  std::optional<int64_t> rank, worldSize;
};

/// Streams the events of a trace (.json or .json.gz; an object with "traceEvents" or the array of
/// events alone) through `onEvent`, which must not keep the reference. The header is complete at
/// the end. Throws Error(input) naming file and line for what is not JSON or ends early, and for
/// JSON without events.
KinetoHeader readKinetoEvents(const std::string& path,
                              const std::function<void(const KinetoEvent&)>& onEvent);

}  // namespace meshplan
