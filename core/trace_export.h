// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "core/graph.h"
#include "core/timeline.h"

namespace meshplan {

/// Writes a timeline for trace viewers: one process per rank class, one track per stream on which
/// slices never overlap, a memory counter per rank class where the curve was recorded, and a flow
/// from each send to its receive. A slice is named after its operator or collective and carries
/// operator, phase, micro-batch, chunk and bytes. Times are rounded to nanoseconds; equal input
/// gives equal bytes. `graph` names the operators of the program.
///
/// Chrome JSON ("Trace Event Format"), as chrome://tracing, Perfetto and TensorBoard read it.
void writeChromeTrace(std::ostream& out, const Program& program, const Timeline& timeline,
                      const Graph& graph);

/// Perfetto's protobuf (core/perfetto_trace.proto): smaller, without the limits of JSON viewers.
void writePerfettoTrace(std::ostream& out, const Program& program, const Timeline& timeline,
                        const Graph& graph);

/// Two timelines of one program as one trace: each stream has a track for either, one below the
/// other. Slices of the second carry `predicted_us`, what the same instruction takes in the first,
/// and `error_percent`, how much that is too long (below 0: too short).
struct TracedTimeline {
  const Timeline* timeline = nullptr;
  std::string name;  // of its tracks: "compute · NAME"
};
using TracedTimelines = std::vector<TracedTimeline>;  // one or two
void writeChromeTrace(std::ostream& out, const Program& program, const TracedTimelines& timelines,
                      const Graph& graph);
void writePerfettoTrace(std::ostream& out, const Program& program, const TracedTimelines& timelines,
                        const Graph& graph);

}  // namespace meshplan
