// SPDX-License-Identifier: Apache-2.0
#pragma once

// The inside of the trace export: only chrome_trace.cpp, perfetto_trace.cpp and trace_slices.cpp
// include this.

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "core/trace_export.h"

namespace meshplan {

/// One rectangle of a trace. A lane is what one stream of a rank class did in one of the timelines.
struct TraceLane {
  uint32_t rankClass = 0, stream = 0, timeline = 0;
  auto operator<=>(const TraceLane&) const = default;
};

struct TraceSlice {
  TraceLane lane;
  int64_t begin = 0, end = 0;  // ns
  std::string name, category, operatorName, phase;
  int64_t microBatch = 0, chunk = 0, bytes = 0;
  uint64_t flow = 0;  // 0: none
  bool flowEnds = false;
  std::optional<double> predicted, error;  // seconds; predicted over measured, less 1
};

/// The spans of timelines as slices, in an order in which a sender comes before its receiver. The
/// slices of a lane never overlap: where spans do, the later one begins at the earlier one's end.
class TraceSlices {
 public:
  TraceSlices(const Program& program, const TracedTimelines& timelines, const Graph& graph);

  template <class F>
  void each(F f) const {
    std::map<TraceLane, int64_t> ended;
    for (const Place& place : order_) {
      TraceSlice s = at(place);
      auto [before, isFirst] = ended.try_emplace(s.lane, s.begin);
      s.begin = std::max(s.begin, before->second);
      s.end = before->second = std::max(s.end, s.begin);
      f(s);
    }
  }

  /// That have slices, by rank class, stream and timeline.
  std::vector<TraceLane> lanes() const;

 private:
  struct Place {
    uint32_t timeline = 0;
    size_t span = 0;
  };
  using FlowKey = std::tuple<uint32_t, int32_t, bool, int32_t>;
  using SpanKey = std::tuple<uint16_t, uint32_t, uint32_t>;

  const Span& spanAt(const Place& p) const {
    return timelines_[p.timeline].timeline->spans[p.span];
  }
  TraceSlice at(const Place& place) const;
  void addFlow(const Place& place, const Instruction& in, TraceSlice& slice) const;
  void addError(const Place& place, TraceSlice& slice) const;
  const Routine& routineOf(const Span& s) const;
  FlowKey flowKeyOf(const Place& place) const;

  const Program& program_;
  const TracedTimelines& timelines_;
  const Graph& graph_;
  std::vector<Place> order_;
  std::map<FlowKey, uint64_t> flows_;
  std::map<SpanKey, Seconds> predicted_;  // by the first of two timelines
};

int64_t traceNanoseconds(Seconds t);
std::string traceProcessName(const RankClass& c);
/// "compute", or "compute · measured" where timelines have names.
std::string traceLaneName(const TraceLane& lane, const TracedTimelines& timelines);
std::string traceMemoryName(const TracedTimeline& timeline);

/// Process ids start at 1 and thread ids never equal one, because viewers give 0 and "thread =
/// process" a meaning.
int32_t traceProcessId(size_t rankClass);
int32_t traceThreadId(const TraceLane& lane);

}  // namespace meshplan
