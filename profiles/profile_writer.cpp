// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/hardware_json.h"
#include "core/plan_json.h"
#include "core/work_json.h"
#include "profiles/profile_rows.h"

namespace meshplan {

SQLite::Statement& RowWriter::bound(const std::string& sql, const Row& row, size_t count) {
  auto found = statements_.find(sql);
  if (found == statements_.end())
    found = statements_.emplace(sql, SQLite::Statement(database_, sql)).first;
  SQLite::Statement& statement = found->second;
  statement.reset();
  for (size_t i = 0; i < count; ++i) {
    if (const auto* figure = std::get_if<double>(&row[i].second); figure && !std::isfinite(*figure))
      throw Error(ErrorKind::input, fmt::format("'{}' is not a finite figure", row[i].first),
                  "check what was measured");
    std::visit([&](const auto& v) { statement.bind(static_cast<int>(i + 1), v); }, row[i].second);
  }
  return statement;
}

void RowWriter::insert(const std::string& table, const Row& row) {
  std::string columns, marks;
  for (const auto& [column, value] : row) {
    columns += (columns.empty() ? "" : ", ") + std::string(column);
    marks += marks.empty() ? "?" : ", ?";
  }
  bound(fmt::format("INSERT INTO {} ({}) VALUES ({})", table, columns, marks), row, row.size())
      .exec();
}

/// The first `identity` columns tell rows apart.
RowWriter::Written RowWriter::put(const std::string& table, const Row& row, size_t identity) {
  std::string where;
  for (size_t i = 0; i < identity; ++i)
    where += fmt::format("{}{} = ?", where.empty() ? "" : " AND ", row[i].first);
  SQLite::Statement& find =
      bound(fmt::format("SELECT id FROM {} WHERE {}", table, where), row, identity);
  if (find.executeStep()) return {find.getColumn(0).getInt64(), false};
  insert(table, row);
  return {database_.getLastInsertRowid(), true};
}

int64_t RowWriter::idOf(const Environment& e) {
  return put("environment",
             {{"device", e.device}, {"fingerprint", e.fingerprint}, {"libraries", e.libraries}}, 3)
      .id;
}

int64_t RowWriter::idOf(const Source& s) {
  return put("source",
             {{"time", s.time}, {"origin", std::string(originName(s.origin))}, {"text", s.text}}, 3)
      .id;
}

int64_t RowWriter::idOf(const OperatorWork& work, const std::string& types) {
  return put("operator",
             {{"key", fingerprintText(workKey(work))},
              {"types", types},
              {"work", workToJson(work)},
              {"operator", std::string(work.def->name)},
              {"phase", std::string(phaseName(work.phase))},
              {"dtype", std::string(dtypeName(work.compute))},
              {"flops", work.flops},
              {"bytes", work.bytes}},
             3)
      .id;
}

RowWriter::Written RowWriter::write(const OperatorMeasurement& m) {
  return put("operator_time",
             {{"operator_id", idOf(m.work, m.types)},
              {"environment_id", idOf(m.environment)},
              {"source_id", idOf(m.source)},
              {"busy", int64_t{m.busy}},
              {"samples", m.samples.count},
              {"median_seconds", m.samples.median.value},
              {"spread_seconds", m.samples.spread.value},
              {"minimum_seconds", m.samples.minimum.value},
              {"outliers", m.samples.outliers}},
             8);
}

RowWriter::Written RowWriter::write(const CollectiveMeasurement& m) {
  return put("collective_time",
             {{"environment_id", idOf(m.environment)},
              {"source_id", idOf(m.source)},
              {"transport", m.transport},
              {"collective", std::string(collectiveName(m.kind))},
              {"bytes", m.bytes.value},
              {"ranks", m.ranks},
              {"nodes", m.nodes},
              {"groups", m.groups},
              {"samples", m.samples.count},
              {"median_seconds", m.samples.median.value},
              {"spread_seconds", m.samples.spread.value},
              {"minimum_seconds", m.samples.minimum.value},
              {"outliers", m.samples.outliers}},
             12);
}

RowWriter::Written RowWriter::write(const AlgorithmChoice& c) {
  return put("algorithm",
             {{"environment_id", idOf(c.environment)},
              {"key", c.key},
              {"algorithm", c.algorithm},
              {"seconds", c.seconds.value},
              {"time", c.time}},
             2);
}

RowWriter::Written RowWriter::write(const RunMeasurement& m,
                                    const std::vector<InstructionMeasurement>& instructions) {
  const Written run = put("run",
                          {{"environment_id", idOf(m.environment)},
                           {"source_id", idOf(m.source)},
                           {"model", m.model},
                           {"graph_fingerprint", m.graphFingerprint},
                           {"strategy", m.strategy},
                           {"transport", m.transport},
                           {"ranks", m.ranks},
                           {"threads", m.threads},
                           {"steps", m.steps},
                           {"samples", m.step.count},
                           {"median_seconds", m.step.median.value},
                           {"spread_seconds", m.step.spread.value},
                           {"minimum_seconds", m.step.minimum.value},
                           {"predicted_seconds", m.predictedStep.value},
                           {"outliers", m.step.outliers},
                           {"plan", m.planJson},
                           {"predicted_uncertainty", m.predictedUncertainty},
                           {"provenance", m.provenance},
                           {"planned_peak_bytes", m.plannedPeak.value},
                           {"measured_peak_bytes", m.measuredPeak.value},
                           {"profiling_overhead", m.profilingOverhead}},
                          14);
  if (run.isNew)
    for (const InstructionMeasurement& i : instructions)
      insert("run_instruction", {{"run_id", run.id},
                                 {"rank_class", int64_t{i.rankClass}},
                                 {"call", int64_t{i.call}},
                                 {"instruction", int64_t{i.instruction}},
                                 {"name", i.name},
                                 {"start_seconds", i.start.value},
                                 {"duration_seconds", i.duration.value},
                                 {"busy_seconds", i.busy.value},
                                 {"predicted_seconds", i.predicted.value},
                                 {"predicted_start_seconds", i.predictedStart.value},
                                 {"provenance", i.provenance}});
  return run;
}

RowWriter::Written RowWriter::write(const ProfileStore::MeasuredDevice& m) {
  const bool linked = m.link.bandwidth.value > 0;
  return put("device",
             {{"environment_id", idOf(m.environment)},
              {"time", m.time},
              {"spec", deviceSpecJson(m.device).dump()},
              {"link", linked ? linkSpecJson(m.link).dump() : std::string()}},
             4);
}

}  // namespace meshplan
