// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "core/timeline.h"
#include "planner/simulator.h"

namespace meshplan {

/// What a predicted step rests on: shares of a rank class's time (compute, exposed communication
/// and waiting for the host; the bubble is other ranks' time) by where its figures come from, and
/// one standard deviation of the step, relative (docs/cost_model.md, "Intervals").
struct StepEvidence {
  std::array<double, 3> shares{};  // by Provenance; sum 1, or 0 for a step of nothing
  double uncertainty = 0;

  double share(Provenance p) const { return shares[static_cast<size_t>(p)]; }
  /// Whether any time is more than a formula's.
  bool measuredAtAll() const {
    return share(Provenance::measured) + share(Provenance::interpolated) > 0;
  }
  /// The weakest kind that, with those weaker than it, makes up more than 5 % of the time.
  Provenance provenance() const;
};

StepEvidence stepEvidence(const Program& program, const InstructionTimes& times,
                          const TimeByCategory& time, size_t rankClass);

}  // namespace meshplan
