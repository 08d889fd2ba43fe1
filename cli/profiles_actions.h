// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/profile_arguments.h"
#include "cli/table.h"
#include "profiles/profile_store.h"

namespace meshplan {

/// The subcommands of `meshplan profiles`, made on its app; profiles_command.cpp lists them.
std::unique_ptr<Command> profilesListCommand(CLI::App& parent);
std::unique_ptr<Command> profilesShowCommand(CLI::App& parent);
std::unique_ptr<Command> profilesMergeCommand(CLI::App& parent);
std::unique_ptr<Command> profilesExportCommand(CLI::App& parent);
std::unique_ptr<Command> profilesImportCommand(CLI::App& parent);

/// The store that these work on. Throws Error(usage) for none.
std::string storePath(const ProfileArguments& profiles);

/// What a store knows of one device, or of all when `device` is empty.
struct ProfileRows {
  std::vector<OperatorMeasurement> operators;
  std::vector<CollectiveMeasurement> collectives;
  std::vector<RunMeasurement> runs;
  std::vector<std::vector<InstructionMeasurement>> instructions;  // of each run
  std::vector<ProfileStore::MeasuredDevice> devices;
};
ProfileRows readProfileRows(const ProfileStore& store, const std::string& device);
/// The rows of a store that need not exist yet. Throws Error(input) for a device without rows.
ProfileRows readProfileRows(const std::string& path, const std::string& device);

/// "2026-03-01T12:00:00Z"
std::string timeText(int64_t time);  // Unix seconds

/// Kinds of rows as `--rows` names them.
inline const std::vector<std::string> kProfileKinds = {"operators", "collectives", "runs",
                                                       "devices"};
/// Rows of one kind as a table: figures as people read them, or, for csv, all columns in SI units.
Table profileTable(const ProfileRows& rows, const std::string& kind, bool forPeople);
/// Rows as JSON (docs/formats.md, "Profiles").
std::string profileJson(const ProfileRows& rows, const std::vector<std::string>& kinds);

}  // namespace meshplan
