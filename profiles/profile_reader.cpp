// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <sqlite3.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/hardware_json.h"
#include "core/json_fields.h"
#include "core/plan_json.h"
#include "core/work_json.h"
#include "profiles/profile_rows.h"

namespace meshplan {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

/// The columns of a result row from left to right; the first is the row's number.
class Cells {
 public:
  Cells(SQLite::Statement& statement, const char* table) : statement_(statement), table_(table) {}

  std::string text() {
    const SQLite::Column c = next();
    if (!c.isText()) refuse(c, "text");
    return c.getString();
  }
  double real() {
    const SQLite::Column c = next();
    if (!c.isFloat() || !std::isfinite(c.getDouble())) refuse(c, "a finite figure");
    return c.getDouble();
  }
  double amount() {
    const double v = real();
    if (v < 0) reject("a figure is negative");
    return v;
  }
  int64_t integer(int64_t low = 0, int64_t high = kMost) {
    const SQLite::Column c = next();
    if (!c.isInteger() || c.getInt64() < low || c.getInt64() > high)
      refuse(c, fmt::format("a whole number from {} to {}", low, high));
    return c.getInt64();
  }
  Seconds seconds() { return Seconds(amount()); }

  std::string place() const {
    return fmt::format("{} {}", table_, statement_.getColumn(0).getInt64());
  }
  [[noreturn]] void reject(const std::string& problem) const {
    throw Error(ErrorKind::input, "the profile database is damaged: " + problem,
                "move it away; the sqlite3 tool's .recover may save its rows")
        .at(place());
  }

 private:
  SQLite::Column next() { return statement_.getColumn(column_++); }
  [[noreturn]] void refuse(const SQLite::Column& c, const std::string& expected) const {
    reject(fmt::format("{} is not {}", c.getName(), expected));
  }

  SQLite::Statement& statement_;
  const char* table_;
  int column_ = 0;
};

template <class Row, class Read>
std::vector<Row> readRows(SQLite::Statement statement, const char* table, Read read) {
  std::vector<Row> rows;
  while (statement.executeStep()) {
    Cells cells(statement, table);
    try {
      cells.integer(std::numeric_limits<int64_t>::min());
      if (std::optional<Row> row = read(cells)) rows.push_back(std::move(*row));
    } catch (const Error& e) {
      throw e.at(cells.place());
    }
  }
  return rows;
}

SQLite::Statement select(SQLite::Database& database, const std::string& sql) {
  return SQLite::Statement(database, sql);
}

SQLite::Statement ofDevice(SQLite::Database& database, const std::string& sql,
                           const std::string& device) {
  SQLite::Statement statement(database, sql +
                                            " WHERE ?1 = '' OR e.device = ?1"
                                            " ORDER BY s.time, t.id");
  statement.bind(1, device);
  return statement;
}

Samples readSamples(Cells& cells) {
  Samples s;
  s.count = cells.integer();
  s.outliers = cells.integer();
  s.median = cells.seconds();
  s.spread = cells.seconds();
  s.minimum = cells.seconds();
  return s;
}

Environment readEnvironment(Cells& cells) {
  Environment e;
  e.device = cells.text();
  e.fingerprint = cells.text();
  e.libraries = cells.text();
  return e;
}

Source readSource(Cells& cells) {
  Source s;
  const std::string name = cells.text();
  while (originName(s.origin) != name) {
    if (s.origin == Origin::imported) cells.reject("it has an unknown origin");
    s.origin = static_cast<Origin>(static_cast<int>(s.origin) + 1);
  }
  s.text = cells.text();
  s.time = cells.integer(std::numeric_limits<int64_t>::min());
  return s;
}

CollectiveKind readKind(Cells& cells) {
  const std::string name = cells.text();
  for (int k = 0; k <= static_cast<int>(CollectiveKind::sendReceive); ++k)
    if (collectiveName(static_cast<CollectiveKind>(k)) == name)
      return static_cast<CollectiveKind>(k);
  cells.reject("it has an unknown collective");
}

constexpr const char* kWhere =
    " JOIN environment e ON e.id = t.environment_id JOIN source s ON s.id = t.source_id";
constexpr const char* kCommon =
    "e.device, e.fingerprint, e.libraries, s.origin, s.text, s.time, t.samples, t.outliers, "
    "t.median_seconds, t.spread_seconds, t.minimum_seconds";

template <class Row>
void readCommon(Cells& cells, Row& row, Samples& samples) {
  row.environment = readEnvironment(cells);
  row.source = readSource(cells);
  samples = readSamples(cells);
}

struct OperatorKind {
  int64_t id = 0;
  OperatorWork work;
  std::string types;
};

std::map<int64_t, OperatorKind> readKinds(SQLite::Database& database) {
  std::map<int64_t, OperatorKind> kinds;
  const auto rows =
      readRows<OperatorKind>(select(database, "SELECT id, id, key, types, work FROM operator"),
                             "operator", [](Cells& cells) -> std::optional<OperatorKind> {
                               OperatorKind kind;
                               kind.id = cells.integer();
                               const std::string key = cells.text();
                               kind.types = cells.text();
                               kind.work = workFromJson(cells.text(), UnknownOperator::allow);
                               if (kind.work.def && fingerprintText(workKey(kind.work)) != key)
                                 cells.reject("its key is not that of its work");
                               return kind;
                             });
  for (const OperatorKind& kind : rows) kinds[kind.id] = kind;
  return kinds;
}

}  // namespace

std::vector<OperatorMeasurement> readOperators(SQLite::Database& database,
                                               const std::string& device) {
  const auto kinds = readKinds(database);
  return readRows<OperatorMeasurement>(
      ofDevice(database,
               fmt::format("SELECT t.id, t.operator_id, t.busy, {} FROM operator_time t{}", kCommon,
                           kWhere),
               device),
      "operator_time", [&](Cells& cells) -> std::optional<OperatorMeasurement> {
        OperatorMeasurement m;
        const auto kind = kinds.find(cells.integer());
        if (kind == kinds.end()) cells.reject("its operator is missing");
        if (!kind->second.work.def) return std::nullopt;
        m.work = kind->second.work;
        m.types = kind->second.types;
        m.busy = static_cast<int>(cells.integer(1, std::numeric_limits<int>::max()));
        readCommon(cells, m, m.samples);
        return m;
      });
}

std::vector<CollectiveMeasurement> readCollectives(SQLite::Database& database,
                                                   const std::string& device) {
  return readRows<CollectiveMeasurement>(
      ofDevice(database,
               fmt::format("SELECT t.id, t.transport, t.collective, t.bytes, t.ranks, t.nodes, "
                           "t.groups, {} FROM collective_time t{}",
                           kCommon, kWhere),
               device),
      "collective_time", [](Cells& cells) -> std::optional<CollectiveMeasurement> {
        CollectiveMeasurement m;
        m.transport = cells.text();
        m.kind = readKind(cells);
        m.bytes = Bytes(cells.integer());
        m.ranks = cells.integer(1);
        m.nodes = cells.integer(1);
        m.groups = cells.integer(1);
        readCommon(cells, m, m.samples);
        return m;
      });
}

std::vector<AlgorithmChoice> readAlgorithms(SQLite::Database& database, const std::string& device) {
  SQLite::Statement statement = select(
      database,
      "SELECT t.id, e.device, e.fingerprint, e.libraries, t.key, t.algorithm, t.seconds, t.time "
      "FROM algorithm t JOIN environment e ON e.id = t.environment_id "
      "WHERE ?1 = '' OR e.device = ?1 ORDER BY t.time, t.id");
  statement.bind(1, device);
  return readRows<AlgorithmChoice>(std::move(statement), "algorithm",
                                   [](Cells& cells) -> std::optional<AlgorithmChoice> {
                                     AlgorithmChoice c;
                                     c.environment = readEnvironment(cells);
                                     c.key = cells.text();
                                     c.algorithm = cells.text();
                                     c.seconds = cells.seconds();
                                     c.time = cells.integer(std::numeric_limits<int64_t>::min());
                                     return c;
                                   });
}

std::vector<RunMeasurement> readRuns(SQLite::Database& database) {
  return readRows<RunMeasurement>(
      select(database,
             fmt::format("SELECT t.id, t.id, t.model, t.graph_fingerprint, t.strategy, t.plan, "
                         "t.transport, t.ranks, t.threads, t.steps, t.predicted_seconds, "
                         "t.predicted_uncertainty, t.provenance, t.planned_peak_bytes, "
                         "t.measured_peak_bytes, t.profiling_overhead, {} FROM run t{} "
                         "ORDER BY s.time DESC, t.id DESC",
                         kCommon, kWhere)),
      "run", [](Cells& cells) -> std::optional<RunMeasurement> {
        RunMeasurement m;
        m.id = cells.integer();
        m.model = cells.text();
        m.graphFingerprint = cells.text();
        m.strategy = cells.text();
        m.planJson = cells.text();
        m.transport = cells.text();
        m.ranks = cells.integer(1);
        m.threads = cells.integer(1);
        m.steps = cells.integer();
        m.predictedStep = cells.seconds();
        m.predictedUncertainty = cells.real();
        m.provenance = cells.text();
        m.plannedPeak = Bytes(cells.integer());
        m.measuredPeak = Bytes(cells.integer());
        m.profilingOverhead = cells.real();
        readCommon(cells, m, m.step);
        return m;
      });
}

std::vector<InstructionMeasurement> readInstructions(SQLite::Database& database, int64_t run) {
  SQLite::Statement statement =
      select(database,
             "SELECT run_id, rank_class, call, instruction, start_seconds, duration_seconds, "
             "busy_seconds, name, predicted_seconds, predicted_start_seconds, provenance FROM "
             "run_instruction WHERE run_id = ? ORDER BY rank_class, call, instruction");
  statement.bind(1, run);
  return readRows<InstructionMeasurement>(
      std::move(statement), "run_instruction",
      [](Cells& cells) -> std::optional<InstructionMeasurement> {
        InstructionMeasurement m;
        m.rankClass = static_cast<uint16_t>(cells.integer(0, UINT16_MAX));
        m.call = static_cast<uint32_t>(cells.integer(0, UINT32_MAX));
        m.instruction = static_cast<uint32_t>(cells.integer(0, UINT32_MAX));
        m.start = Seconds(cells.real());
        m.duration = cells.seconds();
        m.busy = cells.seconds();
        m.name = cells.text();
        m.predicted = cells.seconds();
        m.predictedStart = Seconds(cells.real());
        m.provenance = cells.text();
        return m;
      });
}

std::vector<ProfileStore::MeasuredDevice> readDevices(SQLite::Database& database) {
  const auto readJson = [](const std::string& text, auto read) {
    const nlohmann::json value = parseJson(text, "");
    JsonFields fields(value, "");
    auto spec = read(fields, fields.text("name"));
    fields.finish();
    return spec;
  };
  return readRows<ProfileStore::MeasuredDevice>(
      select(database,
             "SELECT t.id, e.device, e.fingerprint, e.libraries, t.spec, t.link, t.time "
             "FROM device t JOIN environment e ON e.id = t.environment_id "
             "ORDER BY t.time DESC, t.id DESC"),
      "device", [&](Cells& cells) -> std::optional<ProfileStore::MeasuredDevice> {
        ProfileStore::MeasuredDevice m;
        m.environment = readEnvironment(cells);
        m.device = readJson(cells.text(), readDeviceSpec);
        const std::string link = cells.text();
        if (!link.empty()) m.link = readJson(link, readLinkSpec);
        m.time = cells.integer(std::numeric_limits<int64_t>::min());
        return m;
      });
}

std::vector<ProfileStore::EnvironmentSummary> readEnvironments(SQLite::Database& database) {
  static constexpr const char* kSql = R"(
      WITH rows (environment_id, kind, time) AS (
        SELECT environment_id, 0, time FROM operator_time t JOIN source s ON s.id = t.source_id
        UNION ALL
        SELECT environment_id, 1, time FROM collective_time t JOIN source s ON s.id = t.source_id
        UNION ALL
        SELECT environment_id, 2, time FROM run t JOIN source s ON s.id = t.source_id
        UNION ALL
        SELECT environment_id, 3, time FROM device)
      SELECT e.id, e.device, e.fingerprint, e.libraries, count(*) FILTER (WHERE kind = 0),
             count(*) FILTER (WHERE kind = 1), count(*) FILTER (WHERE kind = 2),
             count(*) FILTER (WHERE kind = 3), min(time), max(time)
      FROM environment e JOIN rows ON environment_id = e.id
      GROUP BY e.id ORDER BY e.device, e.fingerprint, e.libraries)";
  return readRows<ProfileStore::EnvironmentSummary>(
      select(database, kSql), "environment",
      [](Cells& cells) -> std::optional<ProfileStore::EnvironmentSummary> {
        ProfileStore::EnvironmentSummary s;
        s.environment = readEnvironment(cells);
        s.contents.operators = cells.integer();
        s.contents.collectives = cells.integer();
        s.contents.runs = cells.integer();
        s.contents.devices = cells.integer();
        s.first = cells.integer(std::numeric_limits<int64_t>::min());
        s.last = cells.integer(std::numeric_limits<int64_t>::min());
        return s;
      });
}

}  // namespace meshplan
