// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/training_run.h"
#include "cli/run_arguments.h"
#include "cli/run_plan.h"
#include "profiles/measurement.h"

namespace meshplan {

/// What `meshplan run` prints, on rank 0 alone: the plan, the loss of every so many steps, a
/// progress bar on a terminal, and a summary or everything as JSON. A loss that cannot be printed
/// (a log on a full disk) is warned of and ends nothing; a summary that cannot is Error(runtime).
class TrainingLog {
 public:
  TrainingLog(const RunArguments& arguments, const RunPlan& chosen)
      : arguments_(arguments), chosen_(chosen) {}

  void announce(const Program& program, int threads) const;
  void add(const StepReport& report);
  /// `run`: what was measured, or null; `deviceMemory` as RankBackend::deviceMemoryUsed.
  void finish(const RunMeasurement* run, Bytes deviceMemory) const;
  const std::vector<StepReport>& steps() const { return steps_; }

 private:
  void log(const std::string& line);
  double medianSeconds() const;
  std::string progressBar() const;
  void printJson(const RunMeasurement* run, Bytes deviceMemory) const;
  void printPrediction(const RunMeasurement& run) const;

  const RunArguments& arguments_;
  const RunPlan& chosen_;
  std::vector<StepReport> steps_;
  bool warned_ = false;  // that a line was lost
};

}  // namespace meshplan
