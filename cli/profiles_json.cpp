// SPDX-License-Identifier: Apache-2.0
// Rows of a profile store as JSON (docs/formats.md, "Profiles").
#include <nlohmann/json.hpp>

#include "cli/profiles_actions.h"
#include "cli/report_json.h"
#include "core/hardware_json.h"
#include "core/plan_json.h"
#include "core/work_json.h"

namespace meshplan {
namespace {

using nlohmann::ordered_json;

ordered_json timesJson(const Samples& s) {
  return {{"samples", s.count},
          {"outliers", s.outliers},
          {"median_seconds", s.median.value},
          {"spread_seconds", s.spread.value},
          {"minimum_seconds", s.minimum.value}};
}

ordered_json originJson(const Environment& e, const Source& s) {
  return {{"device", e.device},       {"fingerprint", e.fingerprint},
          {"libraries", e.libraries}, {"origin", originName(s.origin)},
          {"source", s.text},         {"measured_at", timeText(s.time)}};
}

ordered_json rowJson(const OperatorMeasurement& m) {
  ordered_json out = {{"key", fingerprintText(workKey(m.work))},
                      {"operator", m.work.def->name},
                      {"phase", phaseName(m.work.phase)},
                      {"types", m.types},
                      {"busy_ranks", m.busy}};
  out.update(timesJson(m.samples));
  out["work"] = ordered_json::parse(workToJson(m.work));
  out.update(originJson(m.environment, m.source));
  return out;
}

ordered_json rowJson(const CollectiveMeasurement& m) {
  ordered_json out = {{"transport", m.transport}, {"collective", collectiveName(m.kind)},
                      {"bytes", m.bytes.value},   {"ranks", m.ranks},
                      {"nodes", m.nodes},         {"groups", m.groups}};
  out.update(timesJson(m.samples));
  out.update(originJson(m.environment, m.source));
  return out;
}

ordered_json rowJson(const ProfileStore::MeasuredDevice& m) {
  ordered_json out = {{"spec", deviceSpecJson(m.device)}, {"link", nullptr}};
  if (m.link.bandwidth.value > 0) out["link"] = linkSpecJson(m.link);
  out.update({{"device", m.environment.device},
              {"fingerprint", m.environment.fingerprint},
              {"libraries", m.environment.libraries},
              {"measured_at", timeText(m.time)}});
  return out;
}

ordered_json rowJson(const InstructionMeasurement& i) {
  return {{"rank_class", i.rankClass},      {"call", i.call},
          {"instruction", i.instruction},   {"name", i.name},
          {"start_seconds", i.start.value}, {"duration_seconds", i.duration.value},
          {"busy_seconds", i.busy.value},   {"predicted_seconds", i.predicted.value}};
}

ordered_json rowJson(const RunMeasurement& m,
                     const std::vector<InstructionMeasurement>& instructions) {
  ordered_json out = {{"model", m.model},         {"graph_fingerprint", m.graphFingerprint},
                      {"strategy", m.strategy},   {"transport", m.transport},
                      {"ranks", m.ranks},         {"threads", m.threads},
                      {"steps", m.steps},         {"step", timesJson(m.step)},
                      {"predicted_step", nullptr}};
  if (m.predictedStep.value > 0)
    out["predicted_step"] = {{"seconds", m.predictedStep.value},
                             {"uncertainty", m.predictedUncertainty},
                             {"provenance", m.provenance}};
  out["planned_peak_bytes"] = m.plannedPeak.value;
  out["measured_peak_bytes"] = m.measuredPeak.value;
  out["profiling_overhead"] = m.profilingOverhead;
  out.update(originJson(m.environment, m.source));
  const ordered_json plan = ordered_json::parse(m.planJson, nullptr, false);
  out["plan"] = plan.is_discarded() ? ordered_json() : plan;
  out["instructions"] = ordered_json::array();
  for (const auto& i : instructions) out["instructions"].push_back(rowJson(i));
  return out;
}

ordered_json rowsJson(const ProfileRows& rows, const std::string& kind) {
  ordered_json list = ordered_json::array();
  if (kind == "operators")
    for (const auto& row : rows.operators) list.push_back(rowJson(row));
  else if (kind == "collectives")
    for (const auto& row : rows.collectives) list.push_back(rowJson(row));
  else if (kind == "devices")
    for (const auto& row : rows.devices) list.push_back(rowJson(row));
  else
    for (size_t i = 0; i < rows.runs.size(); ++i)
      list.push_back(rowJson(rows.runs[i], rows.instructions[i]));
  return list;
}

}  // namespace

std::string profileJson(const ProfileRows& rows, const std::vector<std::string>& kinds) {
  ordered_json out = {{"schema_version", 1}};
  for (const std::string& kind : kinds) out[kind] = rowsJson(rows, kind);
  return dumpJson(out);
}

}  // namespace meshplan
