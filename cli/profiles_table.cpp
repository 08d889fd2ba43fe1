// SPDX-License-Identifier: Apache-2.0
// Rows of a profile store as tables.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <filesystem>

#include "app/human.h"
#include "cli/profiles_actions.h"
#include "core/error.h"
#include "core/plan_json.h"
#include "core/work_json.h"

namespace meshplan {
namespace {

std::string number(double v) {
  return fmt::format("{}", v);
}

template <class T>
std::string number(T v) requires std::is_integral_v<T> {
  return fmt::format("{}", v);
}

const std::vector<Table::Column> kTimes = {{"samples", true}, {"median", true}, {"spread", true}};
const std::vector<Table::Column> kAllTimes = {{"samples", true},
                                              {"outliers", true},
                                              {"median_seconds", true},
                                              {"spread_seconds", true},
                                              {"minimum_seconds", true}};
const std::vector<Table::Column> kOrigin = {{"device"}, {"origin"}, {"source"}, {"measured at"}};
const std::vector<Table::Column> kFullOrigin = {{"device"}, {"fingerprint"}, {"libraries"},
                                                {"origin"}, {"source"},      {"measured_at"}};

using Row = std::vector<std::string>;

template <class T>
void append(std::vector<T>& to, const std::vector<T>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

Table tableOf(std::vector<Table::Column> columns, bool forPeople) {
  append(columns, forPeople ? kTimes : kAllTimes);
  append(columns, forPeople ? kOrigin : kFullOrigin);
  return {columns, {}};
}

/// The end of a row under the columns that `tableOf` adds.
void finish(Table& table, Row row, const Samples& s, const Environment& e, const Source& source,
            bool forPeople) {
  const std::string origin(originName(source.origin)), time = timeText(source.time);
  if (forPeople)
    append(row, {number(s.count), secondsText(s.median), secondsText(s.spread), e.device, origin,
                 source.text, time});
  else
    append(row, {number(s.count), number(s.outliers), number(s.median.value),
                 number(s.spread.value), number(s.minimum.value), e.device, e.fingerprint,
                 e.libraries, origin, source.text, time});
  table.rows.push_back(std::move(row));
}

Table operatorTable(const std::vector<OperatorMeasurement>& rows, bool forPeople) {
  std::vector<Table::Column> columns = {{"operator"}, {"phase"}, {"types"}, {"busy", true}};
  if (!forPeople) append(columns, {{"dtype"}, {"flops", true}, {"bytes", true}, {"key"}});
  Table table = tableOf(columns, forPeople);
  for (const OperatorMeasurement& m : rows) {
    Row row = {std::string(m.work.def->name), std::string(phaseName(m.work.phase)), m.types,
               number(m.busy)};
    if (!forPeople)
      append(row, {std::string(dtypeName(m.work.compute)), number(m.work.flops),
                   number(m.work.bytes), fingerprintText(workKey(m.work))});
    finish(table, row, m.samples, m.environment, m.source, forPeople);
  }
  return table;
}

Table collectiveTable(const std::vector<CollectiveMeasurement>& rows, bool forPeople) {
  Table table = tableOf({{"transport"},
                         {"collective"},
                         {"bytes", true},
                         {"ranks", true},
                         {"nodes", true},
                         {"groups", true}},
                        forPeople);
  for (const CollectiveMeasurement& m : rows)
    finish(table,
           {m.transport, std::string(collectiveName(m.kind)),
            forPeople ? bytesText(m.bytes) : number(m.bytes.value), number(m.ranks),
            number(m.nodes), number(m.groups)},
           m.samples, m.environment, m.source, forPeople);
  return table;
}

std::string errorText(const RunMeasurement& m) {
  if (m.predictedStep.value <= 0 || m.step.median.value <= 0) return "";
  return fmt::format("{:+.1f} %", 100 * (m.predictedStep / m.step.median - 1));
}

Table runTable(const std::vector<RunMeasurement>& rows, bool forPeople) {
  std::vector<Table::Column> columns = {{"run", true}, {"model"},       {"strategy"},
                                        {"transport"}, {"ranks", true}, {"steps", true}};
  append(columns, forPeople ? std::vector<Table::Column>{{"predicted", true}, {"error", true}}
                            : std::vector<Table::Column>{{"threads", true},
                                                         {"graph_fingerprint"},
                                                         {"predicted_seconds", true},
                                                         {"predicted_uncertainty", true},
                                                         {"provenance"},
                                                         {"planned_peak_bytes", true},
                                                         {"measured_peak_bytes", true},
                                                         {"profiling_overhead", true}});
  Table table = tableOf(columns, forPeople);
  for (const RunMeasurement& m : rows) {
    Row row = {number(m.id), m.model, m.strategy, m.transport, number(m.ranks), number(m.steps)};
    if (forPeople)
      append(row, {m.predictedStep.value > 0 ? secondsText(m.predictedStep) : "", errorText(m)});
    else
      append(row, {number(m.threads), m.graphFingerprint, number(m.predictedStep.value),
                   number(m.predictedUncertainty), m.provenance, number(m.plannedPeak.value),
                   number(m.measuredPeak.value), number(m.profilingOverhead)});
    finish(table, row, m.step, m.environment, m.source, forPeople);
  }
  return table;
}

Table deviceTable(const std::vector<ProfileStore::MeasuredDevice>& rows, bool forPeople) {
  Table table{{{"device"},
               {forPeople ? "memory" : "memory_bytes", true},
               {forPeople ? "GB/s" : "memory_bandwidth", true},
               {forPeople ? "GFLOP/s" : "vector_peak", true},
               {forPeople ? "link GB/s" : "link_bandwidth", true},
               {forPeople ? "link latency" : "link_latency_seconds", true},
               {"fingerprint"},
               {"libraries"},
               {forPeople ? "measured at" : "measured_at"}},
              {}};
  const auto giga = [&](double v) {
    return forPeople ? fmt::format("{:.4g}", v / 1e9) : number(v);
  };
  for (const auto& m : rows)
    table.rows.push_back({m.environment.device,
                          forPeople ? bytesText(m.device.memory) : number(m.device.memory.value),
                          giga(m.device.memoryBandwidth.value), giga(m.device.vectorPeak.value),
                          giga(m.link.bandwidth.value),
                          forPeople ? secondsText(m.link.latency) : number(m.link.latency.value),
                          m.environment.fingerprint, m.environment.libraries, timeText(m.time)});
  return table;
}

}  // namespace

std::string timeText(int64_t time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(time)));
}

ProfileRows readProfileRows(const ProfileStore& store, const std::string& device) {
  ProfileRows rows{store.operators(device), store.collectives(device), {}, {}, {}};
  for (const RunMeasurement& run : store.runs()) {
    if (!device.empty() && run.environment.device != device) continue;
    rows.runs.push_back(run);
    rows.instructions.push_back(store.instructions(run.id));
  }
  for (const auto& measured : store.devices())
    if (device.empty() || measured.environment.device == device) rows.devices.push_back(measured);
  return rows;
}

ProfileRows readProfileRows(const std::string& path, const std::string& device) {
  ProfileRows rows;
  if (std::filesystem::exists(path))
    rows = readProfileRows(ProfileStore(path, ProfileStore::Access::read), device);
  const bool nothing = rows.operators.empty() && rows.collectives.empty() && rows.runs.empty() &&
                       rows.devices.empty();
  if (nothing && !device.empty())
    throw Error(ErrorKind::input, fmt::format("nothing is measured of the device '{}'", device),
                "`meshplan profiles list` names the devices")
        .inFile(path);
  return rows;
}

Table profileTable(const ProfileRows& rows, const std::string& kind, bool forPeople) {
  if (kind == "operators") return operatorTable(rows.operators, forPeople);
  if (kind == "collectives") return collectiveTable(rows.collectives, forPeople);
  if (kind == "devices") return deviceTable(rows.devices, forPeople);
  return runTable(rows.runs, forPeople);
}

}  // namespace meshplan
