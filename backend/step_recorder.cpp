// SPDX-License-Identifier: Apache-2.0
#include "backend/step_recorder.h"

#include <time.h>

namespace meshplan {

namespace {

double processorSeconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

}  // namespace

StepRecorder::StepRecorder(const Program& program, int stage, Clock::time_point epoch, size_t keeps,
                           bool processorTime)
    : epoch_(epoch), keeps_(keeps), processorTime_(processorTime), firstOfCall_(1, 0) {
  for (const Call& call : program.rankClasses[static_cast<size_t>(stage)].calls)
    firstOfCall_.push_back(firstOfCall_.back() +
                           program.routines[call.routine].instructions.size());
}

void StepRecorder::beginStep() {
  Step step;
  if (steps_.size() == keeps_) {
    step = std::move(steps_.front());
    steps_.pop_front();
  }
  step.resize(firstOfCall_.back());
  steps_.push_back(std::move(step));
}

void StepRecorder::begin(uint32_t call, uint32_t instruction) {
  Interval& span = steps_.back()[indexOf(call, instruction)];
  if (processorTime_) span.processor = -processorSeconds();
  span.start = now();
}

void StepRecorder::end(uint32_t call, uint32_t instruction) {
  Interval& span = steps_.back()[indexOf(call, instruction)];
  span.end = now();
  if (processorTime_) span.processor += processorSeconds();
}

double recordingSeconds() {
  constexpr uint32_t kTimes = 4096;
  Program program;
  program.routines.emplace_back().instructions.resize(kTimes);
  program.rankClasses.emplace_back().calls.resize(1);
  const auto start = StepRecorder::Clock::now();
  StepRecorder recorder(program, 0, start, 1);
  recorder.beginStep();
  for (uint32_t i = 0; i < kTimes; ++i) {
    recorder.begin(0, i);
    recorder.end(0, i);
  }
  return std::chrono::duration<double>(StepRecorder::Clock::now() - start).count() / kTimes;
}

}  // namespace meshplan
