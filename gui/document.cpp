// SPDX-License-Identifier: Apache-2.0
#include "gui/document.h"

#include "app/local_cluster.h"
#include "core/cluster_json.h"
#include "core/error.h"
#include "planner/memory_model.h"
#include "planner/search/stages.h"
#include "profiles/catalog.h"

namespace meshplan::gui {
namespace {

Cluster clusterOf(const OpenRequest& request, const Tell& tell) {
  if (!request.clusterJson.empty()) return clusterFromJson(request.clusterJson, request.planPath);
  return loadNamedCluster(request.cluster, {}, request.profilesPath, tell);
}

/// Of the plan file, where there is one.
OpenRequest completed(OpenRequest request, const std::optional<PlanFile>& file) {
  if (!file) return request;
  request.model = file->model;
  request.training = file->plan.training;
  request.clusterJson = file->clusterJson;
  request.memoryLimit = file->memoryLimit;
  request.globalBatch = file->plan.globalBatch;
  return request;
}

Cluster changed(Cluster cluster, const Scenario& scenario) {
  for (uint32_t i = 0; i < cluster.linkSpecs().size(); ++i) {
    LinkSpec link = cluster.linkSpecs()[i];
    link.bandwidth *= isNetwork(link.kind) ? scenario.network : scenario.fabric;
    cluster.replaceLinkSpec(i, std::move(link));
  }
  if (!scenario.device.empty())
    for (uint32_t i = 0; i < cluster.specs().size(); ++i)
      cluster.replaceSpec(i, Catalog::builtIn().device(scenario.device));
  return cluster;
}

}  // namespace

std::shared_ptr<const Document> Document::open(const OpenRequest& request, const Tell& tell) {
  std::optional<PlanFile> file;
  if (!request.planPath.empty()) file = readPlanFile(request.planPath);
  std::shared_ptr<Document> document(new Document);
  document->request_ = completed(request, file);
  const OpenRequest& r = document->request_;
  document->planning_ =
      std::make_shared<const Planning>(r.model, r.training, clusterOf(r, tell), r.memoryLimit,
                                       ProfileUse{r.profilesPath, {}, false}, tell);
  document->useCluster(document->planning_->cluster(), tell);
  const auto devices = static_cast<int64_t>(document->cluster_.deviceCount());
  document->globalBatch_ =
      r.globalBatch > 0 ? r.globalBatch : defaultBatchPerDevice(*document->planning_) * devices;
  if (file) document->plan_ = planOf(*file, *document->planning_);
  return document;
}

std::shared_ptr<const Document> Document::in(const Scenario& scenario) const {
  std::shared_ptr<Document> other(new Document);
  other->request_ = request_;
  other->scenario_ = scenario;
  other->planning_ = planning_;
  other->globalBatch_ = globalBatch_;
  other->plan_ = plan_;
  other->useCluster(changed(planning_->cluster(), scenario), [](const Notice&) {});
  return other;
}

void Document::useCluster(Cluster cluster, const Tell& tell) {
  cluster_ = std::move(cluster);
  cost_ = costsOf(cluster_, request_.training.runtime, {request_.profilesPath, {}, false}, tell);
  const Bytes limit = request_.memoryLimit.value_or(usableMemory(cluster_.specs().front()));
  context_ = std::make_unique<const PlanContext>(planning_->training(), cluster_, *cost_, limit);
}

std::shared_ptr<const ShownPlan> showPlan(std::shared_ptr<const Document> document,
                                          const Plan& plan, const std::string& label,
                                          bool cutByHand) {
  auto shown = std::make_shared<ShownPlan>();
  shown->simulated =
      simulatePlan(document->context(), plan, {.recordSpans = true, .recordMemory = true});
  shown->report = reportOf(document->context(), plan, shown->simulated);
  shown->report.label = label;
  shown->cutByHand = cutByHand;
  shown->document = std::move(document);
  return shown;
}

std::string ShownPlan::strategy() const {
  const std::string text = shortStrategy(report);
  return cutByHand ? text + "," + stagesText(report.plan) : text;
}

bool isCutByHand(const Document& document, const Plan& plan) try {
  if (plan.chunks() == 1) return false;
  const std::string strategy = strategyText(plan, usesSequenceParallel(document.model(), plan));
  const PlanReport planned =
      evaluateStrategy(document.context(), document.globalBatch(), parseStrategy(strategy));
  return planned.plan.chunkStarts != plan.chunkStarts;
} catch (const Error&) {
  return true;
}

}  // namespace meshplan::gui
