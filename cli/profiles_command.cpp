// SPDX-License-Identifier: Apache-2.0
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/planning.h"
#include "cli/arguments.h"
#include "cli/profile_arguments.h"
#include "cli/profiles_actions.h"
#include "cli/report_json.h"
#include "cli/terminal.h"
#include "core/error.h"
#include "profiles/known_profiles.h"

namespace meshplan {
namespace {

using nlohmann::ordered_json;

constexpr const char* kDescription =
    "Shows, merges, exports and imports what was measured.\n"
    "\n"
    "Examples:\n"
    "  meshplan profiles list\n"
    "  meshplan profiles show A100-SXM-80GB --rows collectives\n"
    "  meshplan profiles merge node1.db node2.db\n"
    "  meshplan profiles export measured.csv --rows operators\n"
    "  meshplan profiles import all_reduce.log trace.json.gz\n";

class ListCommand : public Command {
 public:
  explicit ListCommand(CLI::App& app) : Command(&app) {
    profiles_.addTo(app);
    format_.addTo(app, {"table", "json", "csv", "md"});
  }

  int run() override {
    for (const std::string& path : shippedProfilePaths()) read(path);
    const std::string own = profiles_.path();
    if (!own.empty() && std::filesystem::exists(own)) read(own);
    switch (format_.format()) {
      case Format::json:
        print(json());
        break;
      case Format::csv:
        print(render(table(), TableFormat::csv));
        break;
      case Format::markdown:
        print(render(table(), TableFormat::markdown));
        break;
      case Format::table:
        print(entries_.empty() ? "" : render(table(), TableFormat::text));
        if (entries_.empty()) note("nothing is measured yet; `meshplan measure` does that");
    }
    return 0;
  }

 private:
  struct Entry {
    ProfileStore::EnvironmentSummary summary;
    std::string store;
  };

  void read(const std::string& path) {
    for (auto& summary : ProfileStore(path, ProfileStore::Access::read).environments())
      entries_.push_back({std::move(summary), path});
  }

  static std::string date(int64_t time) {
    return fmt::format("{:%Y-%m-%d}", fmt::gmtime(static_cast<std::time_t>(time)));
  }

  Table table() const {
    Table table{{{"device"},
                 {"operators", true},
                 {"collectives", true},
                 {"runs", true},
                 {"first"},
                 {"last"},
                 {"machine"},
                 {"libraries"},
                 {"store"}},
                {}};
    for (const auto& [s, store] : entries_)
      table.rows.push_back({s.environment.device, fmt::format("{}", s.contents.operators),
                            fmt::format("{}", s.contents.collectives),
                            fmt::format("{}", s.contents.runs), date(s.first), date(s.last),
                            s.environment.fingerprint, s.environment.libraries, store});
    return table;
  }

  std::string json() const {
    ordered_json out = {{"schema_version", 1}, {"environments", ordered_json::array()}};
    for (const auto& [s, store] : entries_)
      out["environments"].push_back({{"device", s.environment.device},
                                     {"fingerprint", s.environment.fingerprint},
                                     {"libraries", s.environment.libraries},
                                     {"operators", s.contents.operators},
                                     {"collectives", s.contents.collectives},
                                     {"runs", s.contents.runs},
                                     {"devices", s.contents.devices},
                                     {"first", date(s.first)},
                                     {"last", date(s.last)},
                                     {"store", store}});
    return dumpJson(out);
  }

  ProfileArguments profiles_;
  FormatArgument format_;
  std::vector<Entry> entries_;
};

std::string contentsText(const ProfileStore::Contents& c) {
  return fmt::format("{} operator times, {} collective times, {} runs and {} devices", c.operators,
                     c.collectives, c.runs, c.devices);
}

class MergeCommand : public Command {
 public:
  explicit MergeCommand(CLI::App& app) : Command(&app) {
    app.add_option("FILES", files_, "Profile databases of other machines")->required();
    profiles_.addTo(app);
  }

  int run() override {
    ProfileStore store(storePath(profiles_));
    store.check();
    for (const std::string& file : files_) {
      const ProfileStore other(file, ProfileStore::Access::read);
      other.check();
      print(fmt::format("{}: {} are new\n", file, contentsText(store.merge(other))));
    }
    return 0;
  }

 private:
  std::vector<std::string> files_;
  ProfileArguments profiles_;
};

class ProfilesCommand : public Command {
 public:
  explicit ProfilesCommand(CLI::App& app) : Command(&app) {
    app.require_subcommand(1);
    for (auto* make : {profilesListCommand, profilesShowCommand, profilesMergeCommand,
                       profilesExportCommand, profilesImportCommand})
      actions_.push_back(make(app));
  }

  int run() override {
    for (const auto& action : actions_)
      if (action->app().parsed()) return action->run();
    return 0;
  }

 private:
  std::vector<std::unique_ptr<Command>> actions_;
};

}  // namespace

std::unique_ptr<Command> profilesListCommand(CLI::App& parent) {
  return std::make_unique<ListCommand>(*parent.add_subcommand(
      "list",
      "Lists the devices that something is known of, in the user's store and in those "
      "that came with Meshplan."));
}

std::unique_ptr<Command> profilesMergeCommand(CLI::App& parent) {
  return std::make_unique<MergeCommand>(*parent.add_subcommand(
      "merge", "Adds what other databases have; doing it twice adds nothing."));
}

std::string storePath(const ProfileArguments& profiles) {
  const std::string path = profiles.path();
  if (path.empty())
    throw Error(ErrorKind::usage, "no profile store is named", "name one with --profiles");
  return path;
}

std::unique_ptr<Command> profilesCommand(CLI::App& parent) {
  return std::make_unique<ProfilesCommand>(*parent.add_subcommand("profiles", kDescription));
}

}  // namespace meshplan
