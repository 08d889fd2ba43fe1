// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/training_run.h"
#include "cli/run_arguments.h"
#include "cli/run_plan.h"

namespace meshplan {

/// What `meshplan run` prints, on rank 0 alone: the plan, the loss of every so many steps, a
/// progress bar on a terminal, and a summary or everything as JSON.
class TrainingLog {
 public:
  TrainingLog(const RunArguments& arguments, const RunPlan& chosen)
      : arguments_(arguments), chosen_(chosen) {}

  void announce(const Program& program, int threads) const;
  void add(const StepReport& report);
  void finish() const;

 private:
  double medianSeconds() const;
  std::string progressBar() const;
  void printJson() const;

  const RunArguments& arguments_;
  const RunPlan& chosen_;
  std::vector<StepReport> steps_;
};

}  // namespace meshplan
