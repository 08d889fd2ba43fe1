// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/trace_event.h"

namespace meshplan {

/// Streams the events of a trace in Chrome's JSON ("Trace Event Format": an object with
/// "traceEvents" or the array alone; .json or .json.gz) that a timeline shows: complete slices (X),
/// begins and ends (B, E), counters (C), names and order of processes and threads (M), flows (s,
/// f). Others are passed over. Throws Error(input) naming file and line for what is no JSON or ends
/// early, and for JSON without events.
void readChromeEvents(const std::string& path, const OnTraceEvent& onEvent);

/// Whether this is JSON, or gzipped JSON, with such events at its top.
bool isChromeTrace(const std::string& path);

}  // namespace meshplan
