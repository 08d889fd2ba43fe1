// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "profiles/measurement.h"

namespace meshplan {

/// Measurements in one SQLite file (docs/formats.md, "Profiles", describes tables and views).
/// Rollback journal, synchronous=FULL, BEGIN IMMEDIATE: what a call has written when it returns
/// survives the death of the process and of the machine; other processes may write at the same
/// time. A file of an older version is migrated in one transaction when it is opened to write, and
/// in memory when it is opened to read.
/// A measurement is in a store once: adding one that is there in every figure changes nothing.
///
/// Throws Error(input) naming the file when it is not a profile database, is damaged or was written
/// by a newer version; Error(runtime) when it cannot be read or written (disk full, read-only).
class ProfileStore {
 public:
  enum class Access { read, write };  // write: made when it does not exist
  explicit ProfileStore(const std::string& path, Access access = Access::write);
  ~ProfileStore();
  ProfileStore(ProfileStore&&) noexcept;

  const std::string& path() const;

  /// Each in one transaction.
  void add(const std::vector<OperatorMeasurement>& rows);
  void add(const std::vector<CollectiveMeasurement>& rows);
  /// Returns the id of the run; of the one that is there, when it has been added before.
  int64_t add(const RunMeasurement& run, const std::vector<InstructionMeasurement>& instructions);
  /// A device that was measured rather than looked up (`--cluster local`).
  void add(const Environment& environment, const DeviceSpec& device, const LinkSpec& link,
           int64_t time);

  /// The first choice for a key of an environment stays.
  void add(const std::vector<AlgorithmChoice>& rows);

  /// Everything known about a device, oldest first; all devices when the name is empty. Operators
  /// that only a newer Meshplan knows are left out.
  std::vector<OperatorMeasurement> operators(const std::string& device = {}) const;
  std::vector<CollectiveMeasurement> collectives(const std::string& device = {}) const;
  std::vector<AlgorithmChoice> algorithms(const std::string& device = {}) const;
  std::vector<RunMeasurement> runs() const;  // newest first
  std::vector<InstructionMeasurement> instructions(int64_t run) const;

  struct MeasuredDevice {
    Environment environment;
    DeviceSpec device;
    LinkSpec link;
    int64_t time = 0;
  };
  std::vector<MeasuredDevice> devices() const;  // newest first

  struct Contents {
    int64_t operators = 0, collectives = 0, runs = 0, devices = 0;  // rows
  };
  struct EnvironmentSummary {
    Environment environment;
    Contents contents;
    int64_t first = 0, last = 0;  // Unix seconds of its oldest and newest row
  };
  std::vector<EnvironmentSummary> environments() const;  // by device, fingerprint and libraries

  /// Adds what another store has, of one device if it is named, and this one has not, in one
  /// transaction; returns what was added.
  Contents merge(const ProfileStore& other, const std::string& device = {});

  /// Looks at the whole file: throws Error(input) when any of it is damaged.
  void check() const;

 private:
  struct Database;
  std::unique_ptr<Database> database_;
};

/// The user's own store: $MESHPLAN_PROFILES, else $XDG_DATA_HOME/meshplan/profiles.db, else
/// ~/.local/share/meshplan/profiles.db. Empty when $MESHPLAN_PROFILES is "none".
std::string defaultProfilePath();

}  // namespace meshplan
