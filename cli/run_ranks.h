// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "backend/communicator.h"
#include "backend/cores.h"
#include "backend/rank_backend.h"
#include "backend/training_run.h"
#include "cli/run_arguments.h"
#include "cli/run_plan.h"
#include "cli/run_record.h"
#include "cli/training_log.h"
#include "core/program.h"
#include "core/timeline.h"

namespace meshplan {

/// What each rank of the share computes with: --threads, or its threads.
LocalRanks localRanksOf(const RunArguments& arguments, const HostShare& share);

/// The ranks of this process at work: all of them as threads, or one. `train` is called once per
/// rank, by its thread; the rest once per process. Only the process of rank 0 prints.
class RunRanks {
 public:
  /// `machine.profiles` is where the run is to be stored.
  RunRanks(const RunArguments& arguments, const RunPlan& chosen, const RunMachine& machine,
           RankBackend& backend);
  RunRanks(const RunRanks&) = delete;
  RunRanks& operator=(const RunRanks&) = delete;

  /// Once, before the ranks train: reads what an ONNX file holds.
  void announce(const HostShare& share, bool prints);
  void train(Communicator& world);
  /// Stores the run; the summary and the trace. Where nothing was measured the result is empty.
  RunRecord finish(bool prints);

 private:
  void readModelValues(bool prints);
  void gather(Communicator& world, const StepRecorder& recorder, int64_t steps, Bytes arena);

  const RunArguments& arguments_;
  const RunPlan& chosen_;
  const RunMachine machine_;
  const Program program_;
  const TrainingTask task_;
  TrainingLog log_;
  RankBackend& backend_;
  HostShare share_;
  int threads_ = 1;
  std::map<std::string, HostTensor> modelValues_;
  MeasuredRun measured_;  // on rank 0
};

}  // namespace meshplan
