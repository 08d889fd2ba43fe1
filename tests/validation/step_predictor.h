// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/model.h"
#include "planner/analytic_cost.h"
#include "planner/search/search.h"
#include "profiles/measurement.h"

namespace meshplan {

/// A training step that somebody measured, as `meshplan simulate` takes it.
struct Step {
  ModelRequest model;
  TrainingOptions training;
  std::string cluster;  // as profiles/load_cluster.h reads it
  int64_t globalBatch = 1;
  std::string strategy;  // as --strategy reads it
};

/// The command line that simulates the step.
std::string commandOf(const Step& step);

/// Predicts steps through the planner's API, `evaluateStrategy`, without a memory limit. Models
/// and clusters are read once, plans made once; after `override` the plans stay and are costed and
/// simulated again.
class StepPredictor {
 public:
  StepPredictor();
  ~StepPredictor();

  /// Throws what the readers and the planner throw.
  PlanReport predict(const Step& step);
  /// The step's program and timeline.
  Simulated look(const Step& step);
  const TrainingModel& training(const Step& step);
  const Cluster& cluster(const std::string& text);

  /// The cost of single operators that were queued ahead of the device (by its catalogue name), so
  /// that the host's part does not count.
  const CostModel& queuedCost(const std::string& device);

  /// Gives every device of an architecture (or with that name) another value of a parameter of
  /// planner/device_parameters.h, a runtime one of planner/runtime_parameters.h, or a link
  /// (by name or kind) one of planner/link_parameters.h.
  void override(const std::string& architecture, const std::string& parameter, double value);
  /// From now on a device (by its catalogue name) is predicted from these measurements too.
  void learn(const std::string& device, std::vector<OperatorMeasurement> rows);

 private:
  struct Prepared;
  class Cost;
  Prepared& prepare(const Step& step);
  RuntimeParameters runtimeOf(RuntimeKind kind) const;
  std::unique_ptr<CostModel> costOf(DeviceSpec spec, const RuntimeParameters& runtime) const;

  std::map<std::string, std::unique_ptr<TrainingModel>> models_;
  std::map<std::string, std::unique_ptr<Cluster>> clusters_;
  std::map<std::string, std::unique_ptr<Prepared>> steps_;
  std::map<std::pair<std::string, std::string>, double> overrides_;
  std::map<std::string, std::vector<OperatorMeasurement>> learned_;
  std::map<std::string, std::unique_ptr<CostModel>> costs_;
};

}  // namespace meshplan
