// SPDX-License-Identifier: Apache-2.0
#include "backend/clock_profiler.h"

#include <algorithm>
#include <tuple>

namespace meshplan {

void ClockProfiler::begin(uint32_t call, uint32_t instruction) {
  const Routine& routine = program_.routines[program_.rankClasses[stage_].calls[call].routine];
  const Instruction& in = routine.instructions[instruction];
  spans_.push_back({stage_, in.stream, in.kind, call, instruction, now(), {}});
}

void ClockProfiler::end(uint32_t, uint32_t) {
  spans_.back().end = now();
}

Timeline measuredTimeline(const Program& program, std::vector<Span> spans) {
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return std::tuple(a.start, a.rankClass, a.stream) < std::tuple(b.start, b.rankClass, b.stream);
  });
  Timeline timeline;
  timeline.rankClasses.resize(program.rankClasses.size());
  timeline.events = spans.size();
  if (spans.empty()) return timeline;
  const Seconds start = spans.front().start;
  for (Span& s : spans) {
    s.start -= start;
    s.end -= start;
    timeline.stepTime = std::max(timeline.stepTime, s.end);
  }
  timeline.spans = std::move(spans);
  return timeline;
}

}  // namespace meshplan
