// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "backend/communicator.h"
#include "backend/cores.h"
#include "backend/training_run.h"
#include "cli/run_arguments.h"
#include "cli/run_plan.h"
#include "cli/training_log.h"
#include "core/program.h"
#include "core/timeline.h"

namespace meshplan {

/// The ranks of this process at work: all of them as threads, or one. `train` is called once per
/// rank, by its thread; the rest once per process. Only the process of rank 0 prints.
class RunRanks {
 public:
  RunRanks(const RunArguments& arguments, const RunPlan& chosen);
  RunRanks(const RunRanks&) = delete;
  RunRanks& operator=(const RunRanks&) = delete;

  /// Decides on the threads of each rank, --threads or its share, and reads what an ONNX file
  /// holds.
  void announce(const HostShare& share, bool prints);
  void train(Communicator& world);
  /// The summary and the trace.
  void finish(bool prints) const;

 private:
  void readModelValues(bool prints);
  void gatherSpans(Communicator& world, const std::vector<Span>& mine);

  const RunArguments& arguments_;
  const RunPlan& chosen_;
  const Program program_;
  const TrainingTask task_;
  TrainingLog log_;
  int threads_ = 1;
  std::map<std::string, HostTensor> modelValues_;
  std::vector<Span> spans_;  // on rank 0: measured, of one rank per stage
};

}  // namespace meshplan
