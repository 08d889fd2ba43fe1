// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "app/human.h"
#include "cli/arguments.h"
#include "cli/profiles_actions.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "core/error.h"
#include "profiles/kineto_import.h"
#include "profiles/nccl_tests_import.h"
#include "profiles/nsys_import.h"

namespace meshplan {
namespace {

constexpr const char* kDescription =
    "Takes over measurements of operators and collectives from other tools: the output of\n"
    "nccl-tests (text, or JSON of -J), SQLite exports of Nsight Systems, traces of PyTorch's\n"
    "profiler (.json, .json.gz; give those of all ranks of a job together).\n"
    "\n"
    "Examples:\n"
    "  meshplan profiles import all_reduce.log\n"
    "  meshplan profiles import trace/rank*.json.gz --dry-run\n"
    "  meshplan profiles import report.sqlite --device H100-SXM\n";

constexpr size_t kMostReasons = 12;

std::string shareText(Seconds part, Seconds whole) {
  return whole.value > 0 ? percentText(part / whole) : std::string("-");
}

class ImportCommand : public Command {
 public:
  explicit ImportCommand(CLI::App& app) : Command(&app) {
    app.add_option("FILES", files_, "Files of other tools, of one job or of several")->required();
    app.add_option("--format", format_, "What the files are")
        ->check(oneOf({"auto", "nccl-tests", "nsys", "kineto"}));
    app.add_option("--device", options_.device,
                   "The device they were measured on, as a plan's cluster names it")
        ->type_name("NAME");
    app.add_flag("--dry-run", dryRun_, "Only show what would be taken");
    profiles_.addTo(app);
  }

  int run() override {
    ImportCollector collector;
    std::vector<std::string> traces;  // of one job: collectives are matched over all of them
    for (const std::string& file : files_) switch (formatOf(file)) {
        case ImportFormat::ncclTests:
          importNcclTests(file, options_, collector);
          break;
        case ImportFormat::nsys:
          importNsys(file, options_, collector);
          break;
        case ImportFormat::kineto:
          traces.push_back(file);
      }
    if (!traces.empty()) importKineto(traces, options_, collector);
    const Imported imported = collector.finish();
    for (const std::string& text : imported.notes) note(text);
    store(imported);
    print(report(imported));
    return 0;
  }

 private:
  ImportFormat formatOf(const std::string& file) const {
    if (format_ == "nccl-tests") return ImportFormat::ncclTests;
    if (format_ == "nsys") return ImportFormat::nsys;
    if (format_ == "kineto") return ImportFormat::kineto;
    return importFormatOf(file);
  }

  void store(const Imported& imported) const {
    if (dryRun_ || (imported.operators.empty() && imported.collectives.empty())) return;
    ProfileStore store(storePath(profiles_));
    if (!imported.operators.empty()) store.add(imported.operators);
    if (!imported.collectives.empty()) store.add(imported.collectives);
  }

  std::string report(const Imported& imported) const {
    Seconds total = imported.takenTime;
    int64_t leftOut = 0;
    for (const LeftOut& l : imported.leftOut) total += l.time, leftOut += l.count;
    std::string text = fmt::format(
        "{}: {} operator times and {} collective times from {} timings ({} of the time)\n",
        dryRun_ ? "would take" : "taken", imported.operators.size(), imported.collectives.size(),
        imported.taken, shareText(imported.takenTime, total));
    if (leftOut == 0) return text;
    text += fmt::format("left out: {} timings\n", leftOut);
    return text + render(reasons(imported, total), TableFormat::text, "  ");
  }

  static Table reasons(const Imported& imported, Seconds total) {
    Table table{{{"time", true}, {"share", true}, {"timings", true}, {"what"}, {"why"}}, {}};
    LeftOut rest;
    for (size_t i = 0; i < imported.leftOut.size(); ++i) {
      const LeftOut& l = imported.leftOut[i];
      if (i < kMostReasons)
        addRow(table, l, total);
      else
        rest.count += l.count, rest.time += l.time;
    }
    rest.what = "others";
    if (rest.count > 0) addRow(table, rest, total);
    return table;
  }

  static void addRow(Table& table, const LeftOut& l, Seconds total) {
    constexpr size_t kLongest = 60;
    const std::string what =
        l.what.size() > kLongest ? l.what.substr(0, kLongest - 3) + "..." : l.what;
    table.rows.push_back({secondsText(l.time), shareText(l.time, total), fmt::format("{}", l.count),
                          what, l.reason});
  }

  std::vector<std::string> files_;
  std::string format_ = "auto";
  ImportOptions options_;
  bool dryRun_ = false;
  ProfileArguments profiles_;
};

}  // namespace

std::unique_ptr<Command> profilesImportCommand(CLI::App& parent) {
  return std::make_unique<ImportCommand>(*parent.add_subcommand("import", kDescription));
}

}  // namespace meshplan
