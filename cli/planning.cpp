// SPDX-License-Identifier: Apache-2.0
#include "cli/planning.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "cli/human.h"
#include "cli/local_cluster.h"
#include "cli/terminal.h"
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

bool isChromeTrace(const std::string& path) {
  return std::filesystem::path(path).extension() == ".json";
}

}  // namespace

Planning::Planning(const ModelRequest& request, const TrainingOptions& options, Cluster cluster,
                   std::optional<Bytes> memoryLimit, const ProfileUse& profiles)
    : Planning(loadModel(request), request, options, std::move(cluster), memoryLimit, profiles) {}

Planning::Planning(Model model, const ModelRequest& request, const TrainingOptions& options,
                   Cluster cluster, std::optional<Bytes> memoryLimit, const ProfileUse& profiles)
    : request_(request),
      name_(model.name),
      family_(model.family),
      origins_(model.origins),
      training_(prepareTraining(model, options)),
      cluster_(std::move(cluster)),
      cost_(costsOf(cluster_, options.runtime, profiles)),
      userSetLimit_(memoryLimit.has_value()),
      context_(std::make_unique<PlanContext>(training_, cluster_, *cost_,
                                             memoryLimit.value_or(smallestMemory(cluster_)))) {
  for (const std::string& text : model.warnings) warn(text);
  if (!cluster_.homogeneous())
    warn(fmt::format("the cluster mixes devices; all are planned as {}",
                     cluster_.specs().front().name));
}

std::unique_ptr<Planning> loadPlanning(const ModelArguments& model,
                                       const TrainingArguments& training,
                                       const ClusterArguments& cluster) {
  std::optional<Bytes> limit;
  if (!cluster.memoryLimit.empty()) limit = parseBytes(cluster.memoryLimit, "--memory-limit");
  const TrainingOptions options = training.options();
  const ProfileUse profiles = cluster.profiles.use();
  return std::make_unique<Planning>(
      model.request(), options, loadNamedCluster(cluster.cluster, cluster.device, profiles.path),
      limit, profiles);
}

int64_t defaultGlobalBatch(const Planning& planning) {
  const int64_t each = planning.training().tokensPerSample > 1 ? 8 : 32;
  const int64_t batch = each * static_cast<int64_t>(planning.cluster().deviceCount());
  note(fmt::format("global batch {}, {} per device; --global-batch sets it", batch, each));
  return batch;
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

void checkTraceName(const std::string& path) {
  const auto extension = std::filesystem::path(path).extension();
  if (extension != ".json" && extension != ".pftrace" && extension != ".perfetto-trace")
    throw Error(ErrorKind::usage, fmt::format("'{}' is no name for a trace", path),
                "end it in .json (Chrome) or .pftrace (Perfetto)")
        .at("--trace");
}

void writeTrace(const std::string& path, const Planning& planning, const Plan& plan) {
  const Simulated simulated =
      simulatePlan(planning.context(), plan, {.recordSpans = true, .recordMemory = true});
  writeTrace(path, simulated.program, {{&simulated.timeline, ""}}, planning.training().graph);
}

void writeTrace(const std::string& path, const Program& program, const TracedTimelines& timelines,
                const Graph& graph) {
  std::ofstream out(path, std::ios::binary);
  if (isChromeTrace(path))
    writeChromeTrace(out, program, timelines, graph);
  else
    writePerfettoTrace(out, program, timelines, graph);
  if (!out.flush())
    throw Error(ErrorKind::runtime, "cannot be written", "check the folder and the free space")
        .inFile(path);
  note(fmt::format("wrote {}: open it at https://ui.perfetto.dev", path));
}

}  // namespace meshplan
