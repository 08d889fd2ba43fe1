// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <vector>

#include "backend/profiler.h"
#include "core/program.h"
#include "core/timeline.h"

namespace meshplan {

/// Measures the instructions of one rank by the host's clock: exact where the device computes in
/// the calling thread. Keeps the last step.
class ClockProfiler : public Profiler {
 public:
  using Clock = std::chrono::steady_clock;

  /// Times count from `epoch`, which ranks that shall be compared share.
  ClockProfiler(const Program& program, int stage, Clock::time_point epoch)
      : program_(program), stage_(static_cast<uint16_t>(stage)), epoch_(epoch) {}

  void beginStep() override { spans_.clear(); }
  void begin(uint32_t call, uint32_t instruction) override;
  void end(uint32_t call, uint32_t instruction) override;

  const std::vector<Span>& spans() const { return spans_; }

 private:
  Seconds now() const {
    return Seconds(std::chrono::duration<double>(Clock::now() - epoch_).count());
  }

  const Program& program_;
  uint16_t stage_;
  Clock::time_point epoch_;
  std::vector<Span> spans_;
};

/// The measured step: the spans of one rank of each stage, from the first one's start.
Timeline measuredTimeline(const Program& program, std::vector<Span> spans);

}  // namespace meshplan
