// SPDX-License-Identifier: Apache-2.0
// `meshplan profiles show` and `export`: rows of the user's store, on the screen and in files.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "app/planning.h"
#include "cli/arguments.h"
#include "cli/profiles_actions.h"
#include "cli/terminal.h"
#include "core/error.h"

namespace meshplan {
namespace {

class ShowCommand : public Command {
 public:
  explicit ShowCommand(CLI::App& app) : Command(&app) {
    app.add_option("DEVICE", device_, "A device that `profiles list` names; all when left out");
    app.add_option("--rows", kind_, "Only operators, collectives, runs or devices")
        ->check(oneOf(kProfileKinds))
        ->type_name("KIND");
    profiles_.addTo(app);
    format_.addTo(app, {"table", "json", "csv", "md"});
  }

  int run() override {
    const ProfileRows rows = readProfileRows(storePath(profiles_), device_);
    const auto kinds = kind_.empty() ? kProfileKinds : std::vector<std::string>{kind_};
    switch (format_.format()) {
      case Format::json:
        print(profileJson(rows, kinds));
        break;
      case Format::csv:
        if (kind_.empty())
          throw Error(ErrorKind::usage, "csv holds one kind of rows", "name one with --rows");
        print(render(profileTable(rows, kind_, false), TableFormat::csv));
        break;
      case Format::markdown:
      case Format::table:
        for (const std::string& kind : kinds) printTable(profileTable(rows, kind, true), kind);
    }
    return 0;
  }

 private:
  void printTable(const Table& table, const std::string& kind) const {
    const bool markdown = format_.format() == Format::markdown;
    if (table.rows.empty() && kind_.empty()) return;
    if (kind_.empty()) print((markdown ? "### " + kind : bold(kind)) + "\n");
    print(render(table, markdown ? TableFormat::markdown : TableFormat::text));
    if (kind_.empty()) print("\n");
  }

  std::string device_, kind_;
  ProfileArguments profiles_;
  FormatArgument format_;
};

class ExportCommand : public Command {
 public:
  explicit ExportCommand(CLI::App& app) : Command(&app) {
    app.add_option("FILE", file_, "Where to write: .json, .csv, or .db for a new database")
        ->required();
    app.add_option("--device", device_, "Only of this device")->type_name("NAME");
    app.add_option("--rows", kind_, "Only operators, collectives, runs or devices (not for .db)")
        ->check(oneOf(kProfileKinds))
        ->type_name("KIND");
    profiles_.addTo(app);
  }

  int run() override {
    const std::string path = storePath(profiles_);
    const std::string ending = std::filesystem::path(file_).extension().string();
    const ProfileRows rows = readProfileRows(path, device_);
    if (ending == ".json")
      writeFile(file_, profileJson(rows, kinds()));
    else if (ending == ".csv")
      writeFile(file_, render(profileTable(rows, oneKind(), false), TableFormat::csv));
    else if (ending == ".db")
      writeDatabase(path);
    else
      throw Error(ErrorKind::usage, "the name tells no format", "end it in .json, .csv or .db")
          .inFile(file_);
    note(fmt::format("wrote {}", file_));
    return 0;
  }

 private:
  std::vector<std::string> kinds() const {
    return kind_.empty() ? kProfileKinds : std::vector<std::string>{kind_};
  }

  const std::string& oneKind() const {
    if (!kind_.empty()) return kind_;
    throw Error(ErrorKind::usage, "csv holds one kind of rows", "name one with --rows");
  }

  void writeDatabase(const std::string& path) const {
    if (!kind_.empty())
      throw Error(ErrorKind::usage, "a database holds all kinds of rows", "leave --rows out");
    if (std::filesystem::exists(file_))
      throw Error(ErrorKind::usage, "the file exists",
                  "remove it, or add to it with `profiles merge --profiles " + file_ + "`")
          .inFile(file_);
    if (!std::filesystem::exists(path))
      throw Error(ErrorKind::input, "there is no such profile database",
                  "`meshplan measure` makes one")
          .inFile(path);
    ProfileStore(file_).merge(ProfileStore(path, ProfileStore::Access::read), device_);
  }

  std::string file_, device_, kind_;
  ProfileArguments profiles_;
};

}  // namespace

std::unique_ptr<Command> profilesShowCommand(CLI::App& parent) {
  return std::make_unique<ShowCommand>(
      *parent.add_subcommand("show", "Shows what was measured of a device."));
}

std::unique_ptr<Command> profilesExportCommand(CLI::App& parent) {
  return std::make_unique<ExportCommand>(
      *parent.add_subcommand("export", "Writes what was measured to a file."));
}

}  // namespace meshplan
