// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "backend/executor.h"
#include "backend/host_tensor.h"
#include "core/plan.h"
#include "planner/training_model.h"

namespace meshplan {

/// The plan that a strategy text gives on `ranks` devices, with costs that make every split pay:
/// computing takes long, exchanging nothing.
Plan planOf(const TrainingModel& model, int64_t globalBatch, const std::string& strategy,
            int64_t ranks);

/// The same with costs drawn at random: any of the valid shardings.
Plan randomPlanOf(const TrainingModel& model, int64_t globalBatch, const std::string& strategy,
                  int64_t ranks, uint64_t seed);

/// Random inputs of a model for a global batch: floats N(0, 1), integers below the vocabulary (or
/// classes) they index.
std::map<uint32_t, HostTensor> randomInputs(const TrainingModel& model, int64_t globalBatch,
                                            uint64_t seed);

struct TrainingRun {
  std::vector<double> losses;                   // by step
  std::map<std::string, HostTensor> gradients;  // after the first step, by parameter name
  std::map<std::string, HostTensor> weights;    // after the last
  HostTensor watched;                           // RunSettings::watched of the first step
};

/// One rank's part of a run: its device, the world of the hosts, and the same ranks for what lies
/// in the devices' memory.
using RankBody = std::function<void(RankDevice& device, Communicator& world, Communicator& data)>;
/// Runs the body for every rank and returns when all have ended.
using StartRanks = std::function<void(int ranks, const RankBody& body)>;

struct RunSettings {
  int steps = 1;
  OptimizerSettings optimizer;
  uint64_t seed = 7;
  /// Weights before the first step; without it random ones from the seed.
  std::function<HostTensor(const Tensor& parameter)> initial;
  /// An operator whose first output is kept as rank 0 has it.
  std::string watched;
  /// Changes the program before it runs (for tests that break it).
  std::function<void(Program&)> change;
  /// Without it CPU ranks of one thread each, as threads of this process.
  StartRanks start;
};

TrainingRun runPlan(const TrainingModel& model, const Plan& plan,
                    const std::map<uint32_t, HostTensor>& inputs, const RunSettings& settings = {});

/// The largest difference of any element of any tensor, relative to the largest of that tensor.
double worstDifference(const std::map<std::string, HostTensor>& a,
                       const std::map<std::string, HostTensor>& b, std::string* where = nullptr);

}  // namespace meshplan
