// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/event_recorder.h"

namespace meshplan {

EventRecorder::EventRecorder(CudaContext& context, const Program& program, int stage,
                             Clock::time_point epoch, size_t keeps)
    : StepRecorder(program, stage, epoch, keeps), context_(context) {}

EventRecorder::~EventRecorder() {
  for (const Pair& pair : events_)
    for (cudaEvent_t event : {pair.start, pair.end})
      if (event) cudaEventDestroy(event);
  if (first_) cudaEventDestroy(first_);
}

void EventRecorder::record(cudaEvent_t& event) {
  if (!event) context_.check(cudaEventCreateWithFlags(&event, cudaEventDefault), "cudaEventCreate");
  context_.check(cudaEventRecord(event, context_.stream()), "cudaEventRecord");
}

// The device is idle here, so that the event is recorded while the host looks at its clock.
void EventRecorder::beginStep() {
  StepRecorder::beginStep();
  events_.resize(current().size());
  context_.use(Stream::compute);
  record(first_);
  context_.await(first_);
  firstTime_ = std::chrono::duration<double>(Clock::now() - epoch()).count();
}

void EventRecorder::begin(uint32_t call, uint32_t instruction) {
  record(events_[indexOf(call, instruction)].start);
}

void EventRecorder::end(uint32_t call, uint32_t instruction) {
  record(events_[indexOf(call, instruction)].end);
}

double EventRecorder::secondsSince(cudaEvent_t event) const {
  float milliseconds = 0;
  context_.check(cudaEventElapsedTime(&milliseconds, first_, event), "cudaEventElapsedTime");
  return firstTime_ + 1e-3 * static_cast<double>(milliseconds);
}

void EventRecorder::endStep() {
  for (size_t i = 0; i < events_.size(); ++i) {
    current()[i].start = secondsSince(events_[i].start);
    current()[i].end = secondsSince(events_[i].end);
  }
}

}  // namespace meshplan
