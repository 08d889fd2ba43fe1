// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <deque>
#include <vector>

#include "backend/profiler.h"
#include "core/program.h"

namespace meshplan {

/// Measures the instructions of one rank by the host's clock, step by step: exact where the device
/// computes in the calling thread. Keeps the last steps.
class StepRecorder : public Profiler {
 public:
  using Clock = std::chrono::steady_clock;
  /// Seconds since the epoch; `processor` is what the calling thread computed meanwhile, where
  /// asked for.
  struct Interval {
    double start = 0, end = 0, processor = 0;
  };
  /// One interval per instruction, in the order of calls and of instructions in them.
  using Step = std::vector<Interval>;

  /// Ranks that shall be compared share the `epoch`. Processor time costs a system call, and is
  /// needed where ranks have to share cores.
  StepRecorder(const Program& program, int stage, Clock::time_point epoch, size_t keeps = 32,
               bool processorTime = false);

  void beginStep() override;
  void begin(uint32_t call, uint32_t instruction) override;
  void end(uint32_t call, uint32_t instruction) override;

  /// Oldest first; the last one is whole only after its step.
  const std::deque<Step>& steps() const { return steps_; }
  /// The place of an instruction in a Step.
  size_t indexOf(uint32_t call, uint32_t instruction) const {
    return firstOfCall_[call] + instruction;
  }

 protected:
  Clock::time_point epoch() const { return epoch_; }
  Step& current() { return steps_.back(); }

 private:
  double now() const { return std::chrono::duration<double>(Clock::now() - epoch_).count(); }

  Clock::time_point epoch_;
  size_t keeps_;
  bool processorTime_;
  std::vector<size_t> firstOfCall_;  // and the number of all at the end
  std::deque<Step> steps_;
};

/// Seconds that recording one instruction takes on this machine, measured now.
double recordingSeconds();

}  // namespace meshplan
