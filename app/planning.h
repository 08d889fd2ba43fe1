// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "app/profile_cost.h"
#include "core/plan_json.h"
#include "planner/search/evaluate.h"

namespace meshplan {

/// Everything that planning needs, loaded: model, training graph, cluster, costs. What readers warn
/// of is told. Fixed in memory, because the context refers to the rest.
class Planning {
 public:
  Planning(const ModelRequest& request, const TrainingOptions& options, Cluster cluster,
           std::optional<Bytes> memoryLimit, const ProfileUse& profiles, const Tell& tell);
  Planning(const Planning&) = delete;
  Planning& operator=(const Planning&) = delete;

  const PlanContext& context() const { return *context_; }
  const TrainingModel& training() const { return training_; }
  const Cluster& cluster() const { return cluster_; }
  const ModelRequest& request() const { return request_; }
  const std::string& modelName() const { return name_; }
  const std::string& modelFamily() const { return family_; }
  /// Of a model from an ONNX file: where the values of its parameters and constants are.
  const std::map<std::string, WeightOrigin>& origins() const { return origins_; }
  bool userSetLimit() const { return userSetLimit_; }

 private:
  Planning(Model model, const ModelRequest& request, const TrainingOptions& options,
           Cluster cluster, std::optional<Bytes> memoryLimit, const ProfileUse& profiles,
           const Tell& tell);

  ModelRequest request_;
  std::string name_, family_;
  std::map<std::string, WeightOrigin> origins_;
  TrainingModel training_;
  Cluster cluster_;
  std::unique_ptr<CostModel> cost_;
  bool userSetLimit_ = false;
  std::unique_ptr<PlanContext> context_;
};

/// What a global batch is when nobody says: 8 sequences or 32 other samples per device.
int64_t defaultBatchPerDevice(const Planning& planning);

/// A strategy without what goes without saying: degrees of 1 other than dp, tp and pp, the schedule
/// of a single stage, no recomputation. parseStrategy reads it back as the same.
std::string shortStrategy(const PlanReport& report);

/// A plan file of this report, and a plan of such a file, checked against the loaded model. Throws
/// Error(input) when the model is not the one that was planned.
PlanFile planFileOf(const Planning& planning, const PlanReport& report);
Plan planOf(const PlanFile& file, const Planning& planning);

/// Whether this is a plan that `meshplan plan --out` wrote, and not a model's config.json.
bool isPlanFile(const std::string& path);

/// Reads and writes whole files; Error(input) or Error(runtime) naming the file.
PlanFile readPlanFile(const std::string& path);
void writeFile(const std::string& path, const std::string& text);

}  // namespace meshplan
