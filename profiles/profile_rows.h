// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "profiles/profile_store.h"

namespace meshplan {

/// Writes the structs of measurement.h as rows of a profile database (profiles/schema.sql), within
/// a transaction of the caller. A row that is there already stays as it is. Throws Error(input) for
/// figures that are not finite, SQLite::Exception for everything else. Include this header in .cpp
/// files only.
class RowWriter {
 public:
  explicit RowWriter(SQLite::Database& database) : database_(database) {}

  struct Written {
    int64_t id = 0;
    bool isNew = false;
  };
  Written write(const OperatorMeasurement& row);
  Written write(const CollectiveMeasurement& row);
  Written write(const AlgorithmChoice& row);
  Written write(const RunMeasurement& run, const std::vector<InstructionMeasurement>& instructions);
  Written write(const ProfileStore::MeasuredDevice& row);

 private:
  using Value = std::variant<int64_t, double, std::string>;
  using Row = std::vector<std::pair<const char*, Value>>;

  Written put(const std::string& table, const Row& row, size_t identity);
  void insert(const std::string& table, const Row& row);
  SQLite::Statement& bound(const std::string& sql, const Row& row, size_t count);
  int64_t idOf(const Environment& environment);
  int64_t idOf(const Source& source);
  int64_t idOf(const OperatorWork& work, const std::string& types);

  SQLite::Database& database_;
  std::map<std::string, SQLite::Statement> statements_;
};

/// The rows of a profile database; within a transaction of the caller. Throw Error(input) naming
/// table and row for values that nobody writes.
std::vector<OperatorMeasurement> readOperators(SQLite::Database& database,
                                               const std::string& device);
std::vector<CollectiveMeasurement> readCollectives(SQLite::Database& database,
                                                   const std::string& device);
std::vector<AlgorithmChoice> readAlgorithms(SQLite::Database& database, const std::string& device);
std::vector<RunMeasurement> readRuns(SQLite::Database& database);
std::vector<InstructionMeasurement> readInstructions(SQLite::Database& database, int64_t run);
std::vector<ProfileStore::MeasuredDevice> readDevices(SQLite::Database& database);
std::vector<ProfileStore::EnvironmentSummary> readEnvironments(SQLite::Database& database);

}  // namespace meshplan
