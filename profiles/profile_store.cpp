// SPDX-License-Identifier: Apache-2.0
#include "profiles/profile_store.h"

#include <cstdlib>
#include <filesystem>

#include "profiles/profile_database.h"
#include "profiles/profile_rows.h"

namespace meshplan {
namespace {

std::string environmentVariable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

struct ProfileStore::Database : ProfileDatabase {
  using ProfileDatabase::ProfileDatabase;

  template <class Row>
  void add(const std::vector<Row>& rows) {
    if (rows.empty()) return;
    write([&](SQLite::Database& connection) {
      RowWriter writer(connection);
      for (const Row& row : rows) writer.write(row);
      return 0;
    });
  }
};

ProfileStore::ProfileStore(const std::string& path, Access access)
    : database_(std::make_unique<Database>(path, access == Access::write, profileSchema())) {}
ProfileStore::~ProfileStore() = default;
ProfileStore::ProfileStore(ProfileStore&&) noexcept = default;

const std::string& ProfileStore::path() const {
  return database_->path();
}

void ProfileStore::add(const std::vector<OperatorMeasurement>& rows) {
  database_->add(rows);
}

void ProfileStore::add(const std::vector<CollectiveMeasurement>& rows) {
  database_->add(rows);
}

int64_t ProfileStore::add(const RunMeasurement& run,
                          const std::vector<InstructionMeasurement>& instructions) {
  return database_->write([&](SQLite::Database& connection) {
    return RowWriter(connection).write(run, instructions).id;
  });
}

void ProfileStore::add(const Environment& environment, const DeviceSpec& device,
                       const LinkSpec& link, int64_t time) {
  database_->add(std::vector<MeasuredDevice>{{environment, device, link, time}});
}

std::vector<OperatorMeasurement> ProfileStore::operators(const std::string& device) const {
  return database_->read([&](SQLite::Database& c) { return readOperators(c, device); });
}

std::vector<CollectiveMeasurement> ProfileStore::collectives(const std::string& device) const {
  return database_->read([&](SQLite::Database& c) { return readCollectives(c, device); });
}

std::vector<RunMeasurement> ProfileStore::runs() const {
  return database_->read(readRuns);
}

std::vector<InstructionMeasurement> ProfileStore::instructions(int64_t run) const {
  return database_->read([&](SQLite::Database& c) { return readInstructions(c, run); });
}

std::vector<ProfileStore::MeasuredDevice> ProfileStore::devices() const {
  return database_->read(readDevices);
}

std::vector<ProfileStore::EnvironmentSummary> ProfileStore::environments() const {
  return database_->read(readEnvironments);
}

ProfileStore::Contents ProfileStore::merge(const ProfileStore& other) {
  const auto operators = other.operators();
  const auto collectives = other.collectives();
  const auto runs = other.runs();
  std::vector<std::vector<InstructionMeasurement>> instructions;
  for (const RunMeasurement& run : runs) instructions.push_back(other.instructions(run.id));
  const auto devices = other.devices();
  return database_->write([&](SQLite::Database& connection) {
    RowWriter writer(connection);
    Contents added;
    for (const auto& row : operators) added.operators += writer.write(row).isNew;
    for (const auto& row : collectives) added.collectives += writer.write(row).isNew;
    for (size_t i = runs.size(); i-- > 0;)
      added.runs += writer.write(runs[i], instructions[i]).isNew;
    for (auto row = devices.rbegin(); row != devices.rend(); ++row)
      added.devices += writer.write(*row).isNew;
    return added;
  });
}

void ProfileStore::check() const {
  database_->check();
}

std::string defaultProfilePath() {
  const std::string named = environmentVariable("MESHPLAN_PROFILES");
  if (!named.empty()) return named == "none" ? "" : named;
  std::filesystem::path data = environmentVariable("XDG_DATA_HOME");
  if (data.empty()) {
    const std::string home = environmentVariable("HOME");
    if (home.empty()) return {};
    data = std::filesystem::path(home) / ".local" / "share";
  }
  return (data / "meshplan" / "profiles.db").string();
}

}  // namespace meshplan
