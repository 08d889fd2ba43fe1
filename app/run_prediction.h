// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "planner/search/evaluate.h"
#include "profiles/measurement.h"

namespace meshplan {

/// Fills in, by its place in the program, what is predicted for each instruction of the plan, and
/// what it is called.
void addPredictions(const PlanContext& context, const Plan& plan,
                    std::vector<InstructionMeasurement>& rows);

/// The step's predicted seconds and where they may lie: two standard deviations to either side.
struct PredictedStep {
  Seconds time, low, high;
  bool holds(Seconds measured) const { return low <= measured && measured <= high; }
};
PredictedStep predictedStep(const RunMeasurement& run);

/// "predicted 12.3 ms (8.1 to 16.5 ms, interpolated), measured 11.9 ms: 3.4 % too long"
std::string predictionLine(const RunMeasurement& run);

}  // namespace meshplan
