// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "app/planning.h"
#include "planner/search/search.h"

namespace meshplan::gui {

/// What the user opened: a model on a cluster, or a plan of one.
struct OpenRequest {
  ModelRequest model;
  TrainingOptions training;
  std::string cluster = "8xH100-SXM";
  std::string clusterJson;  // explicit form, before `cluster`
  std::optional<Bytes> memoryLimit;
  int64_t globalBatch = 0;   // 0: the default for so many devices
  std::string planPath;      // a plan file, which says all of the above
  std::string profilesPath;  // empty: predictions by formulas
};

/// How the cluster differs from the one that was opened.
struct Scenario {
  double network = 1, fabric = 1;  // bandwidth between and inside nodes, as a factor
  std::string device;              // of the catalogue; empty: as opened
  bool operator==(const Scenario&) const = default;
};

/// A model on a cluster, loaded: what plans are evaluated against. Never changes; threads share it.
class Document {
 public:
  /// Throws Error as Planning and loadCluster do.
  static std::shared_ptr<const Document> open(const OpenRequest& request, const Tell& tell);
  /// The same model and batch on another cluster.
  std::shared_ptr<const Document> in(const Scenario& scenario) const;

  const Planning& planning() const { return *planning_; }
  const TrainingModel& model() const { return planning_->training(); }
  const Cluster& cluster() const { return cluster_; }
  const PlanContext& context() const { return *context_; }
  const OpenRequest& request() const { return request_; }
  const Scenario& scenario() const { return scenario_; }
  int64_t globalBatch() const { return globalBatch_; }
  /// The plan that was opened, if one was.
  const std::optional<Plan>& plan() const { return plan_; }

 private:
  Document() = default;
  void useCluster(Cluster cluster, const Tell& tell);

  OpenRequest request_;
  Scenario scenario_;
  std::shared_ptr<const Planning> planning_;
  Cluster cluster_;
  std::unique_ptr<const CostModel> cost_;
  std::unique_ptr<const PlanContext> context_;
  int64_t globalBatch_ = 1;
  std::optional<Plan> plan_;
};

/// A plan with all that views show of it.
struct ShownPlan {
  std::shared_ptr<const Document> document;
  PlanReport report;
  Simulated simulated;  // with spans and memory curves
  /// Its stages are not those that the planner cuts: layers were moved.
  bool cutByHand = false;

  /// shortStrategy, with the stages where they were cut by hand.
  std::string strategy() const;
};
std::shared_ptr<const ShownPlan> showPlan(std::shared_ptr<const Document> document,
                                          const Plan& plan, const std::string& label,
                                          bool cutByHand = false);

/// Whether the planner would cut the stages of this plan otherwise. As slow as planning it.
bool isCutByHand(const Document& document, const Plan& plan);

}  // namespace meshplan::gui
