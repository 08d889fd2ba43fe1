// SPDX-License-Identifier: Apache-2.0
#include "core/trace_slices.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/instruction_names.h"

namespace meshplan {
namespace {

using Kind = Instruction::Kind;

std::string categoryOf(Kind kind) {
  if (kind == Kind::compute) return "compute";
  return kind == Kind::collective ? "collective" : "transfer";
}

std::string suffixOf(const TracedTimeline& timeline) {
  return timeline.name.empty() ? "" : " · " + timeline.name;
}

}  // namespace

TraceSlices::TraceSlices(const Program& program, const TracedTimelines& timelines,
                         const Graph& graph)
    : program_(program), timelines_(timelines), graph_(graph) {
  for (uint32_t t = 0; t < timelines.size(); ++t)
    for (size_t i = 0; i < timelines[t].timeline->spans.size(); ++i) order_.push_back({t, i});
  std::stable_sort(order_.begin(), order_.end(), [&](const Place& a, const Place& b) {
    const Span &x = spanAt(a), &y = spanAt(b);
    const bool xReceives = x.kind == Kind::receive, yReceives = y.kind == Kind::receive;
    return std::tie(x.start, xReceives) < std::tie(y.start, yReceives);
  });
  for (uint32_t t = 0; t < timelines.size(); ++t)
    for (size_t i = 0; i < timelines[t].timeline->spans.size(); ++i)
      if (spanAt({t, i}).kind == Kind::send) flows_.emplace(flowKeyOf({t, i}), flows_.size() + 1);
  if (timelines.size() > 1)
    for (const Span& s : timelines[0].timeline->spans)
      predicted_[{s.rankClass, s.call, s.instruction}] = s.end - s.start;
}

const Routine& TraceSlices::routineOf(const Span& s) const {
  return program_.routines[program_.rankClasses[s.rankClass].calls[s.call].routine];
}

TraceSlices::FlowKey TraceSlices::flowKeyOf(const Place& place) const {
  const Span& s = spanAt(place);
  const Instruction& in = routineOf(s).instructions[s.instruction];
  return {place.timeline, in.boundary, in.backwardDirection,
          program_.rankClasses[s.rankClass].calls[s.call].microBatch};
}

TraceSlice TraceSlices::at(const Place& place) const {
  const Span& span = spanAt(place);
  const Routine& routine = routineOf(span);
  const Instruction& in = routine.instructions[span.instruction];
  TraceSlice s;
  s.lane = {span.rankClass, uint32_t(span.stream), place.timeline};
  s.begin = traceNanoseconds(span.start);
  s.end = traceNanoseconds(span.end);
  s.phase = phaseText(routine, in);
  s.microBatch = program_.rankClasses[span.rankClass].calls[span.call].microBatch;
  s.chunk = routine.chunk;
  s.bytes = in.bytes.value;
  s.name = instructionText(graph_, routine, in);
  s.category = categoryOf(in.kind);
  if (in.kind == Kind::compute) s.operatorName = operatorText(graph_, in.op);
  addFlow(place, in, s);
  addError(place, s);
  return s;
}

void TraceSlices::addFlow(const Place& place, const Instruction& in, TraceSlice& slice) const {
  if (in.kind != Kind::send && in.kind != Kind::receive) return;
  const auto flow = flows_.find(flowKeyOf(place));
  if (flow == flows_.end()) return;
  slice.flow = flow->second;
  slice.flowEnds = in.kind == Kind::receive;
}

void TraceSlices::addError(const Place& place, TraceSlice& slice) const {
  if (place.timeline == 0) return;
  const Span& s = spanAt(place);
  const auto predicted = predicted_.find({s.rankClass, s.call, s.instruction});
  if (predicted == predicted_.end()) return;
  slice.predicted = predicted->second.value;
  if (s.end > s.start) slice.error = predicted->second / (s.end - s.start) - 1;
}

std::vector<TraceLane> TraceSlices::lanes() const {
  std::set<TraceLane> used;
  for (const Place& p : order_) {
    const Span& s = spanAt(p);
    used.insert({s.rankClass, uint32_t(s.stream), p.timeline});
  }
  return {used.begin(), used.end()};
}

int64_t traceNanoseconds(Seconds t) {
  return std::llround(t.value * 1e9);
}

std::string traceProcessName(const RankClass& c) {
  return fmt::format("stage {} · ranks {}", c.stage, c.ranks);
}

std::string traceLaneName(const TraceLane& lane, const TracedTimelines& timelines) {
  return std::string(streamName(Stream(lane.stream))) + suffixOf(timelines[lane.timeline]);
}

std::string traceMemoryName(const TracedTimeline& timeline) {
  return "memory" + suffixOf(timeline);
}

int32_t traceProcessId(size_t rankClass) {
  return int32_t(rankClass) + 1;
}

int32_t traceThreadId(const TraceLane& lane) {
  return 1'000'000 + int32_t(lane.rankClass * 20 + lane.stream * 2 + lane.timeline);
}

}  // namespace meshplan
