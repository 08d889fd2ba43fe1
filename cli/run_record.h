// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "backend/cores.h"
#include "backend/learned_rows.h"
#include "backend/rank_backend.h"
#include "backend/training_run.h"
#include "cli/run_plan.h"

namespace meshplan {

/// What a run leaves in the profile store: what was predicted beside what was measured, and what it
/// teaches about operators and collectives.
struct RunRecord {
  RunMeasurement run;
  std::vector<InstructionMeasurement> instructions;
  LearnedRows learned;
};

/// Steps at the start that do not count: the first of them fill caches, take memory from the system
/// and prepare kernels. Three, but at most half of the steps. Where only some steps are recorded:
/// these too.
int64_t warmUpSteps(int64_t steps, const RankBackend& backend);

/// What was measured on all ranks.
struct MeasuredRun {
  std::vector<StepReport> steps;  // of rank 0, with the warm-up
  std::vector<RankSteps> ranks;   // without it
  Bytes peak;                     // of the fullest rank's arena
  int64_t started = 0;            // Unix seconds, before anything was predicted
};

/// `share` and `threads` are those of rank 0's host. Nothing is learned about operators when the
/// ranks are on several hosts.
RunRecord recordRun(const RunPlan& chosen, const Program& program, const MeasuredRun& measured,
                    const HostShare& share, int threads, const RankBackend& backend);

/// The store at `path` when it can be written, else an empty text and a warning: a run goes on
/// without its store.
std::string usableStore(const std::string& path);

/// Writes the record, and returns the id of the run; warns and returns 0 when that fails.
int64_t storeRun(RunRecord& record, const std::string& path);

}  // namespace meshplan
