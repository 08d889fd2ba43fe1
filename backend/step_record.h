// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/step_recorder.h"
#include "core/timeline.h"
#include "profiles/measurement.h"

namespace meshplan {

/// What one rank recorded. All ranks of a run, in rank order, hold equally many steps by one clock.
struct RankSteps {
  int rank = 0;
  std::vector<StepRecorder::Step> steps;
};

/// The same steps with waiting for others taken out: a collective begins when the last of its
/// group is there, a receive when its message has been sent.
std::vector<RankSteps> withoutWaiting(const Program& program, const std::vector<RankSteps>& ranks);

/// A run as it was measured.
struct StepRecord {
  /// Of one rank of each stage; medians over its steps.
  std::vector<InstructionMeasurement> instructions;
  /// The step of median length, of the same ranks: spans, and time by category.
  Timeline timeline;
};
StepRecord recordOf(const Program& program, const std::vector<RankSteps>& ranks);

}  // namespace meshplan
