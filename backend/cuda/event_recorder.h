// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/cuda/cuda_context.h"
#include "backend/step_recorder.h"

namespace meshplan {

/// Measures the instructions of a rank on a GPU with CUDA events, two for each: what its streams
/// spent on it, without the wait for other streams, but with the gaps in which the host had not yet
/// issued it. Resolution: half a microsecond (CUDA runtime API, cudaEventElapsedTime).
class EventRecorder : public StepRecorder {
 public:
  EventRecorder(CudaContext& context, const Program& program, int stage, Clock::time_point epoch,
                size_t keeps);
  ~EventRecorder() override;

  void beginStep() override;
  void begin(uint32_t call, uint32_t instruction) override;
  void end(uint32_t call, uint32_t instruction) override;
  void endStep() override;

 private:
  struct Pair {
    cudaEvent_t start = nullptr, end = nullptr;
  };
  void record(cudaEvent_t& event);
  double secondsSince(cudaEvent_t event) const;

  CudaContext& context_;
  std::vector<Pair> events_;  // by instruction
  cudaEvent_t first_ = nullptr;
  double firstTime_ = 0;  // of first_, in seconds since the epoch
};

}  // namespace meshplan
