// SPDX-License-Identifier: Apache-2.0
#include "cli/report_json.h"

#include <nlohmann/json.hpp>

namespace meshplan {
namespace {

using nlohmann::ordered_json;

constexpr int kSchemaVersion = 1;

ordered_json memoryJson(const PlanReport& r) {
  ordered_json out;
  for (int c = 0; c < kMemoryCategories; ++c)
    out[std::string(memoryCategoryName(MemoryCategory(c)))] =
        r.memoryByCategory[static_cast<size_t>(c)].value;
  return out;
}

ordered_json timeJson(const TimeByCategory& t) {
  return {{"compute", t.compute.value},
          {"exposed_communication", t.exposedCommunication.value},
          {"bubble", t.bubble.value},
          {"optimizer", t.optimizer.value},
          {"recomputation_in_compute", t.recompute.value},
          {"communication_hidden_or_not", t.communication.value},
          {"waiting_for_the_host", t.host.value}};
}

ordered_json evidenceJson(const StepEvidence& e) {
  ordered_json out;
  for (Provenance p : {Provenance::measured, Provenance::interpolated, Provenance::analytic})
    out[std::string(provenanceName(p))] = e.share(p);
  return out;
}

ordered_json rejectionJson(const Rejection& r) {
  static constexpr const char* kReasons[] = {"memory", "divisibility", "slower", "unsupported"};
  return {{"reason", kReasons[static_cast<size_t>(r.reason)]},
          {"text", r.text},
          {"value", r.value},
          {"limit", r.limit}};
}

ordered_json reportsJson(const std::vector<PlanReport>& reports) {
  ordered_json out = ordered_json::array();
  for (const PlanReport& r : reports) out.push_back(reportJson(r));
  return out;
}

const char* objectiveName(Objective o) {
  static constexpr const char* kNames[] = {"time", "memory", "cost"};
  return kNames[static_cast<size_t>(o)];
}

}  // namespace

ordered_json reportJson(const PlanReport& r) {
  ordered_json out = {{"strategy", r.strategy},
                      {"label", r.label},
                      {"feasible", r.feasible},
                      {"step_time_seconds", r.stepTime.value},
                      {"samples_per_second", r.samplesPerSecond},
                      {"tokens_per_second", r.tokensPerSecond},
                      {"tflops_per_device", r.tflopsPerDevice},
                      {"mfu", r.mfu},
                      {"peak_memory_bytes", r.peakMemory.value},
                      {"peak_memory_stage", r.peakStage},
                      {"peak_memory_owner", r.peakOwner},
                      {"memory_by_category", memoryJson(r)},
                      {"time_by_category", timeJson(r.timeByCategory)},
                      {"provenance", provenanceName(r.provenance)},
                      {"time_by_provenance", evidenceJson(r.evidence)},
                      {"uncertainty", r.uncertainty},
                      {"cost_per_step_usd", r.dollarsPerStep}};
  if (!r.feasible) out["rejection"] = rejectionJson(r.rejection);
  return out;
}

ordered_json documentHead(const Planning& planning, int64_t globalBatch) {
  const TrainingModel& model = planning.training();
  const Cluster& cluster = planning.cluster();
  const PlanContext& context = planning.context();
  return {{"schema_version", kSchemaVersion},
          {"meshplan", MESHPLAN_VERSION},
          {"model",
           {{"name", planning.modelName()},
            {"source", planning.request().source},
            {"family", planning.modelFamily()},
            {"parameters", model.graph.parameterCount()},
            {"tokens_per_sample", model.tokensPerSample},
            {"flops_per_sample", context.flopsPerSample.value}}},
          {"cluster",
           {{"name", cluster.name},
            {"device", cluster.specs().front().name},
            {"devices", cluster.deviceCount()},
            {"nodes", cluster.nodeCount()},
            {"price_per_hour_usd", cluster.pricePerHour}}},
          {"training",
           {{"global_batch", globalBatch},
            {"precision", precisionName(model.options.precision)},
            {"optimizer", optimizerName(model.options.optimizer)},
            {"memory_limit_bytes", context.memoryLimit.value}}}};
}

std::string dumpJson(const ordered_json& document) {
  return document.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string searchJson(const SearchResult& result, const Planning& planning,
                       const SearchOptions& options) {
  ordered_json out = documentHead(planning, options.globalBatch);
  out["objective"] = objectiveName(options.objective);
  out["evaluated"] = result.evaluated;
  out["rejected"] = result.rejected;
  out["simulated"] = result.simulated;
  out["wall_seconds"] = result.wall.value;
  out["complete"] = result.complete;
  out["lower_bound_seconds"] = result.lowerBound.value;
  out["gap"] = result.gap;
  out["plans"] = reportsJson(result.plans);
  out["baselines"] = reportsJson(result.baselines);
  out["pareto"] = reportsJson(result.pareto);
  if (result.nearestMiss) out["nearest_miss"] = reportJson(*result.nearestMiss);
  return dumpJson(out);
}

std::string simulationJson(const PlanReport& report, const Planning& planning) {
  ordered_json out = documentHead(planning, report.plan.globalBatch);
  out["plans"] = ordered_json::array({reportJson(report)});
  return dumpJson(out);
}

}  // namespace meshplan
