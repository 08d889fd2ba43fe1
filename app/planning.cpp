// SPDX-License-Identifier: Apache-2.0
#include "app/planning.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/cluster_json.h"
#include "core/error.h"
#include "core/import/load_model.h"
#include "core/import/model_config.h"
#include "planner/memory_model.h"

namespace meshplan {
namespace {

constexpr int64_t kLargestPlanFile = int64_t{256} << 20;

Bytes smallestMemory(const Cluster& cluster) {
  Bytes least = usableMemory(cluster.specs().front());
  for (const DeviceSpec& spec : cluster.specs()) least = std::min(least, usableMemory(spec));
  return least;
}

/// Looks for two keys of a plan at the top level and reads nothing else.
class PlanKeys : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool found() const { return plan_ && fingerprint_; }

  bool key(string_t& name) override {
    plan_ = plan_ || (depth_ == 1 && name == "plan");
    fingerprint_ = fingerprint_ || (depth_ == 1 && name == "graph_fingerprint");
    return !found();
  }
  bool start_object(size_t) override { return enter(); }
  bool start_array(size_t) override { return enter(); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception&) override {
    return false;
  }

 private:
  bool enter() { return ++depth_ < 100; }
  bool leave() { return --depth_, true; }

  int depth_ = 0;
  bool plan_ = false, fingerprint_ = false;
};

}  // namespace

Planning::Planning(const ModelRequest& request, const TrainingOptions& options, Cluster cluster,
                   std::optional<Bytes> memoryLimit, const ProfileUse& profiles, const Tell& tell)
    : Planning(loadModel(request), request, options, std::move(cluster), memoryLimit, profiles,
               tell) {}

Planning::Planning(Model model, const ModelRequest& request, const TrainingOptions& options,
                   Cluster cluster, std::optional<Bytes> memoryLimit, const ProfileUse& profiles,
                   const Tell& tell)
    : request_(request),
      name_(model.name),
      family_(model.family),
      origins_(model.origins),
      training_(prepareTraining(model, options)),
      cluster_(std::move(cluster)),
      cost_(costsOf(cluster_, options.runtime, profiles, tell)),
      userSetLimit_(memoryLimit.has_value()),
      context_(std::make_unique<PlanContext>(training_, cluster_, *cost_,
                                             memoryLimit.value_or(smallestMemory(cluster_)))) {
  for (const std::string& text : model.warnings) tell({Notice::Kind::warning, text});
  if (!cluster_.homogeneous())
    tell({Notice::Kind::warning, fmt::format("the cluster mixes devices; all are planned as {}",
                                             cluster_.specs().front().name)});
}

int64_t defaultBatchPerDevice(const Planning& planning) {
  return planning.training().tokensPerSample > 1 ? 8 : 32;
}

std::string shortStrategy(const PlanReport& r) {
  const Plan& p = r.plan;
  std::string out =
      fmt::format("dp={},tp={},pp={}", p.mesh.replicas(), p.mesh.tensor, p.mesh.pipeline);
  if (p.mesh.expert > 1) out += fmt::format(",ep={}", p.mesh.expert);
  if (p.virtualStages > 1) out += fmt::format(",vpp={}", p.virtualStages);
  out += fmt::format(",mbs={}", p.microBatch);
  if (p.zeroStage > 0) out += fmt::format(",zero={}", p.zeroStage);
  if (p.mesh.tensor > 1) out += r.sequenceParallel ? ",sp=on" : ",sp=off";
  if (p.mesh.pipeline > 1) out += fmt::format(",schedule={}", scheduleName(p.schedule));
  if (p.recompute != Recompute::none)
    out += fmt::format(",recompute={}", recomputeName(p.recompute));
  return out;
}

PlanFile planFileOf(const Planning& planning, const PlanReport& report) {
  const TrainingModel& model = planning.training();
  PlanFile file;
  file.plan = report.plan;
  file.model = planning.request();
  file.clusterJson = clusterToJson(planning.cluster());
  file.graphFingerprint = fingerprintText(graphFingerprint(model.graph, model.forwardOps));
  if (planning.userSetLimit()) file.memoryLimit = planning.context().memoryLimit;
  file.predictedStepTime = report.stepTime;
  file.predictedPeakMemory = report.peakMemory;
  file.shardings = describeShardings(report.plan, model.graph, model.chain);
  return file;
}

Plan planOf(const PlanFile& file, const Planning& planning) {
  const TrainingModel& model = planning.training();
  if (file.graphFingerprint != fingerprintText(graphFingerprint(model.graph, model.forwardOps)))
    throw Error(ErrorKind::input,
                fmt::format("the plan was made for another graph than {}", planning.modelName()),
                "plan the model again")
        .at("graph_fingerprint");
  Plan plan = file.plan;
  plan.strategies = resolveShardings(file.shardings, model.graph, model.chain);
  return plan;
}

bool isPlanFile(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) return false;
  std::ifstream in(path);
  if ((in >> std::ws).peek() != '{') return false;
  PlanKeys keys;
  nlohmann::json::sax_parse(in, &keys, nlohmann::json::input_format_t::json, false);
  return keys.found();
}

PlanFile readPlanFile(const std::string& path) {
  return planFromJson(readTextFile(path, kLargestPlanFile), path);
}

void writeFile(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush())
    throw Error(ErrorKind::runtime, "cannot be written", "check the folder and the free space")
        .inFile(path);
}

}  // namespace meshplan
