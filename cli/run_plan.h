// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "app/planning.h"
#include "backend/communicator.h"
#include "cli/run_arguments.h"

namespace meshplan {

/// The plan that `meshplan run` runs, and the model it is for.
struct RunPlan {
  std::unique_ptr<Planning> planning;
  PlanReport report;  // on other ranks than 0 the plan alone
};

/// What the ranks have to run on.
struct RunMachine {
  Bytes memory;               // per rank
  int hosts = 1;              // with equally many ranks each; 0: with different numbers of them
  std::string profiles = {};  // the store to predict from; empty: none
  std::string transport = "threads";
  int64_t started = 0;  // Unix seconds
};

/// How many ranks the arguments ask for: those of the plan file, --ranks, or 1. Throws Error(usage)
/// when the two contradict each other.
int64_t ranksToRun(const RunArguments& arguments);

/// The plan of the file, or the best one for so many ranks. Throws Error(infeasible) when there is
/// none or it needs more memory than there is, and Error(usage) when options contradict the plan.
/// Times are those of this machine where there is a store and the ranks are on one host.
RunPlan chooseRunPlan(const RunArguments& arguments, int64_t ranks, const RunMachine& machine);

/// Every rank calls it, before anything else. Throws Error(usage) on a rank that was started with
/// other options than rank 0, naming the first.
void agreeOnOptions(Communicator& world, const RunArguments& arguments);
/// Every rank calls it: rank 0 chooses, the others run its choice.
RunPlan agreeOnRunPlan(Communicator& world, const RunArguments& arguments,
                       const RunMachine& machine);

}  // namespace meshplan
