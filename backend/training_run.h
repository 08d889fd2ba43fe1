// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "backend/communicator.h"
#include "backend/host_tensor.h"
#include "backend/optimizer.h"
#include "backend/profiler.h"
#include "backend/rank_backend.h"
#include "core/error.h"
#include "core/graph.h"
#include "core/program.h"

namespace meshplan {

/// What all ranks train: a program that was lowered for execution from this training graph.
struct TrainingTask {
  const Graph& graph;
  const Program& program;
  int64_t referenceBatch = 1, globalBatch = 1;
  std::string fingerprint;  // of the forward graph
};

struct TrainingSettings {
  int64_t steps = 10;
  OptimizerSettings optimizer;
  uint64_t seed = 1;
  std::string data = "synthetic";  // backend/training_data.h
  std::string weights;             // a safetensors file; empty: `modelValues`, others random
  std::string resume;              // a checkpoint to go on from; `steps` counts from its step
  std::string checkpoint;          // where to save; empty: nowhere
  int64_t checkpointEvery = 0;     // steps; 0: at the end only
  /// Told on rank 0 which step could not be saved, and why; the training goes on. May be empty.
  std::function<void(int64_t, const Error&)> notSaved;
  Profiler* profiler = nullptr;
  RecordedSteps recorded;     // which steps the profiler is told of
  bool checkNumbers = false;  // of every instruction (backend/number_check.h)
  /// What the model's own file holds: parameters and constants by their names, in their types.
  const std::map<std::string, HostTensor>* modelValues = nullptr;
};

struct StepReport {
  int64_t step = 0;  // from 1, over all runs of a checkpoint
  double loss = 0;
  double seconds = 0;
  Bytes arena;  // that this rank has used so far
  /// Of an fp16 step: its loss scale, and whether gradients overflowed, so that no weights changed.
  std::optional<double> lossScale = {};
  bool skipped = false;
};

/// Trains on one rank; every rank of the world calls it with the same task and settings. `report`
/// is called after each step (on every rank) and returns whether to go on; all ranks stop when rank
/// 0 says so, and save. Throws what the parts throw, and Error(runtime) naming the step when the
/// loss is not a number (where 20 steps and a minute suffice to train again since the start or the
/// last checkpoint, naming the operator), or at the end when the last step cannot be saved: a
/// checkpoint that fails before that costs no training. Devices that exchange data on their own
/// ways stop waiting for a rank that throws as soon as it does.
void trainRank(const TrainingTask& task, const TrainingSettings& settings, RankParts& parts,
               Communicator& world, const std::function<bool(const StepReport&)>& report);

}  // namespace meshplan
