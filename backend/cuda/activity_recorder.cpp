// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/activity_recorder.h"

#include <algorithm>

namespace meshplan {
namespace {

constexpr int kRankShift = 32;  // ids: the rank and one, then the instruction

double secondsOf(int64_t nanoseconds, StepRecorder::Clock::time_point epoch) {
  const std::chrono::nanoseconds since =
      std::chrono::nanoseconds(nanoseconds) - epoch.time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

}  // namespace

ActivityRecorder::ActivityRecorder(ActivityTrace& trace, int rank, const Program& program,
                                   int stage, Clock::time_point epoch, size_t keeps)
    : StepRecorder(program, stage, epoch, keeps),
      trace_(trace),
      first_(static_cast<uint64_t>(rank + 1) << kRankShift) {
  trace_.join();
}

void ActivityRecorder::begin(uint32_t call, uint32_t instruction) {
  trace_.push(first_ + indexOf(call, instruction));
}

void ActivityRecorder::end(uint32_t, uint32_t) {
  trace_.pop();
}

void ActivityRecorder::endStep() {
  Step& step = current();
  std::fill(step.begin(), step.end(), Interval{});
  for (const Activity& a : trace_.take(first_, first_ + step.size())) {
    Interval& span = step[a.id - first_];
    const double start = secondsOf(a.start, epoch()), end = secondsOf(a.end, epoch());
    const bool isNew = span.start == span.end;
    span.start = isNew ? start : std::min(span.start, start);
    span.end = isNew ? end : std::max(span.end, end);
  }
  double last = 0;
  for (Interval& span : step) {
    if (span.start == span.end) span.start = span.end = last;
    last = span.end;
  }
}

}  // namespace meshplan
