// SPDX-License-Identifier: Apache-2.0
#include "tests/validation/step_predictor.h"

#include <fmt/format.h>

#include "core/import/load_model.h"
#include "planner/profiled_cost.h"
#include "profiles/catalog.h"
#include "profiles/load_cluster.h"

namespace meshplan {
namespace {

constexpr Bytes kNoLimit{int64_t{1} << 60};

std::string modelText(const Step& s) {
  std::string text = s.model.source;
  for (const auto& [key, value] : s.model.settings) text += fmt::format(" --set {}={}", key, value);
  if (s.model.sequence) text += fmt::format(" --seq {}", *s.model.sequence);
  if (s.model.attention) text += " --attention " + *s.model.attention;
  text += fmt::format(" --precision {} --optimizer {}", precisionName(s.training.precision),
                      optimizerName(s.training.optimizer));
  text += fmt::format(" --runtime {}", runtimeName(s.training.runtime));
  if (isMixed(s.training.precision))
    text += fmt::format(" --gradient-dtype {}", gradientName(s.training.gradientDType));
  return text;
}

}  // namespace

std::string commandOf(const Step& s) {
  return fmt::format("meshplan simulate {} -c {} -b {} --strategy {}", modelText(s), s.cluster,
                     s.globalBatch, s.strategy);
}

/// Costs with other link parameters than the cluster's own.
class StepPredictor::Cost : public AnalyticCost {
 public:
  Cost(const DeviceSpec& spec, const RuntimeParameters& runtime,
       const std::map<std::pair<std::string, std::string>, double>& overrides)
      : AnalyticCost(spec, runtime), overrides_(overrides) {}

  Estimate collectiveTime(CollectiveKind kind, Bytes bytes,
                          const GroupTopology& group) const override {
    GroupTopology g = group;
    g.intraLink = changed(group.intraLink);
    g.interLink = changed(group.interLink);
    return AnalyticCost::collectiveTime(kind, bytes, g);
  }

 private:
  const LinkSpec* changed(const LinkSpec* link) const {
    if (!link) return link;
    const auto [at, isNew] = links_.try_emplace(link->name, *link);
    if (isNew)
      for (const auto& [key, value] : overrides_)
        if (key.first == link->name || key.first == linkKindName(link->kind))
          at->second.parameters[key.second] = {value, 0, "fit"};
    return &at->second;
  }

  const std::map<std::pair<std::string, std::string>, double>& overrides_;
  mutable std::map<std::string, LinkSpec> links_;
};

struct StepPredictor::Prepared {
  const TrainingModel* model = nullptr;
  const Cluster* cluster = nullptr;
  const CostModel* cost = nullptr;
  std::optional<Plan> plan;
  Program program;

  PlanContext context() const { return {*model, *cluster, *cost, kNoLimit}; }
};

StepPredictor::StepPredictor() = default;
StepPredictor::~StepPredictor() = default;

const TrainingModel& StepPredictor::training(const Step& step) {
  std::unique_ptr<TrainingModel>& model = models_[modelText(step)];
  if (!model)
    model = std::make_unique<TrainingModel>(prepareTraining(loadModel(step.model), step.training));
  return *model;
}

const Cluster& StepPredictor::cluster(const std::string& text) {
  std::unique_ptr<Cluster>& cluster = clusters_[text];
  if (!cluster) cluster = std::make_unique<Cluster>(loadCluster(text));
  return *cluster;
}

StepPredictor::Prepared& StepPredictor::prepare(const Step& step) {
  std::unique_ptr<Prepared>& p = steps_[commandOf(step)];
  if (!p) {
    auto fresh = std::make_unique<Prepared>();
    fresh->model = &training(step);
    fresh->cluster = &cluster(step.cluster);
    p = std::move(fresh);
  }
  const DeviceSpec& device = p->cluster->specs().front();
  const RuntimeKind kind = step.training.runtime;
  std::unique_ptr<CostModel>& cost = costs_[fmt::format("{} {}", device.name, runtimeName(kind))];
  if (!cost) cost = costOf(device, runtimeOf(kind));
  p->cost = cost.get();
  return *p;
}

RuntimeParameters StepPredictor::runtimeOf(RuntimeKind kind) const {
  RuntimeParameters runtime = runtimeParameters(kind);
  for (const RuntimeDefinition& d : runtimeDefinitions()) {
    const auto own = overrides_.find({std::string(runtimeName(kind)), std::string(d.name)});
    if (own != overrides_.end()) runtime.*d.member = own->second;
  }
  return runtime;
}

std::unique_ptr<CostModel> StepPredictor::costOf(DeviceSpec spec,
                                                 const RuntimeParameters& runtime) const {
  for (const auto& [key, value] : overrides_)
    if (key.first == spec.architecture || key.first == spec.name)
      spec.parameters[key.second] = {value, 0, "fit"};
  auto formula = std::make_unique<Cost>(spec, runtime, overrides_);
  const auto rows = learned_.find(spec.name);
  if (rows == learned_.end()) return formula;
  return std::make_unique<ProfiledCost>(std::move(formula), rows->second,
                                        std::vector<CollectiveMeasurement>());
}

void StepPredictor::learn(const std::string& device, std::vector<OperatorMeasurement> rows) {
  learned_[device] = std::move(rows);
  costs_.clear();
}

const CostModel& StepPredictor::queuedCost(const std::string& device) {
  std::unique_ptr<CostModel>& cost = costs_["queued " + device];
  if (!cost) cost = costOf(Catalog::builtIn().device(device), {});
  return *cost;
}

PlanReport StepPredictor::predict(const Step& step) {
  Prepared& p = prepare(step);
  if (!p.plan) {
    PlanReport report =
        evaluateStrategy(p.context(), step.globalBatch, parseStrategy(step.strategy));
    p.plan = report.plan;
    return report;
  }
  Simulated simulated;
  if (p.program.routines.empty()) p.program = simulatePlan(p.context(), *p.plan, {}).program;
  simulated.times = costProgram(p.program, *p.cluster, *p.cost);
  simulated.timeline = simulate(p.program, simulated.times, {});
  simulated.program = std::move(p.program);
  PlanReport report = reportOf(p.context(), *p.plan, simulated);
  p.program = std::move(simulated.program);
  return report;
}

Simulated StepPredictor::look(const Step& step) {
  const PlanReport report = predict(step);
  return simulatePlan(prepare(step).context(), report.plan, {.recordSpans = true});
}

void StepPredictor::override(const std::string& architecture, const std::string& parameter,
                             double value) {
  overrides_[{architecture, parameter}] = value;
  costs_.clear();
}

}  // namespace meshplan
