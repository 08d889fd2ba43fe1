// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/activity_trace.h"
#include "backend/step_recorder.h"

namespace meshplan {

/// Measures the instructions of a rank on a GPU by what ran for each of them: from the start of its
/// first kernel or copy to the end of its last. What ran nothing takes no time, where the one
/// before it ended. Instructions must end before the step does.
class ActivityRecorder : public StepRecorder {
 public:
  /// `rank` tells the ranks of this process apart.
  ActivityRecorder(ActivityTrace& trace, int rank, const Program& program, int stage,
                   Clock::time_point epoch, size_t keeps);

  void begin(uint32_t call, uint32_t instruction) override;
  void end(uint32_t call, uint32_t instruction) override;
  void endStep() override;
  void finish() override { trace_.leave(); }

 private:
  ActivityTrace& trace_;
  const uint64_t first_;  // the id of instruction 0
};

}  // namespace meshplan
