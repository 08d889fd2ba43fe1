// SPDX-License-Identifier: Apache-2.0
#include "profiles/profile_store.h"

#include <algorithm>
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

struct Everything {
  std::vector<OperatorMeasurement> operators;
  std::vector<CollectiveMeasurement> collectives;
  std::vector<AlgorithmChoice> algorithms;
  std::vector<std::pair<RunMeasurement, std::vector<InstructionMeasurement>>> runs;
  std::vector<ProfileStore::MeasuredDevice> devices;
};

/// All rows, or those of one device, oldest first.
Everything everything(const ProfileStore& store, const std::string& device) {
  Everything all{store.operators(device),
                 store.collectives(device),
                 store.algorithms(device),
                 {},
                 store.devices()};
  for (const RunMeasurement& run : store.runs())
    if (device.empty() || run.environment.device == device)
      all.runs.emplace_back(run, store.instructions(run.id));
  std::erase_if(all.devices, [&](const ProfileStore::MeasuredDevice& d) {
    return !device.empty() && d.environment.device != device;
  });
  std::reverse(all.runs.begin(), all.runs.end());
  std::reverse(all.devices.begin(), all.devices.end());
  return all;
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

void ProfileStore::add(const std::vector<AlgorithmChoice>& rows) {
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

std::vector<AlgorithmChoice> ProfileStore::algorithms(const std::string& device) const {
  return database_->read([&](SQLite::Database& c) { return readAlgorithms(c, device); });
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

ProfileStore::Contents ProfileStore::merge(const ProfileStore& other, const std::string& device) {
  const Everything all = everything(other, device);
  return database_->write([&](SQLite::Database& connection) {
    RowWriter writer(connection);
    Contents added;
    for (const auto& row : all.operators) added.operators += writer.write(row).isNew;
    for (const auto& row : all.collectives) added.collectives += writer.write(row).isNew;
    for (const auto& row : all.algorithms) writer.write(row);
    for (const auto& [run, instructions] : all.runs)
      added.runs += writer.write(run, instructions).isNew;
    for (const auto& row : all.devices) added.devices += writer.write(row).isNew;
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
