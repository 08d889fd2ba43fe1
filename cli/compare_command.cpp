// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>

#include "app/comparison.h"
#include "cli/command.h"
#include "cli/comparison_report.h"
#include "cli/loading.h"
#include "cli/run_on_threads.h"
#include "cli/run_plan.h"
#include "cli/terminal.h"
#include "core/error.h"

namespace meshplan {
namespace {

constexpr const char* kDescription =
    "Shows what was predicted for a run beside what was measured: step, stages, operators,\n"
    "collectives, memory.\n"
    "\n"
    "RUN is the number of a stored run, or `last`; every `meshplan run` stores one. Of a plan the\n"
    "newest stored run counts; with --steps it is run now. Compared is the prediction made before\n"
    "the run, or with --again the one that today's measurements give.\n"
    "\n"
    "Examples:\n"
    "  meshplan compare last --top 20\n"
    "  meshplan compare plan.json --steps 30 --max-error 10%\n"
    "  meshplan compare 12 --again --trace both.json\n";

constexpr int kTooFar = 6;

/// "10%" or "0.1".
double parseShare(const std::string& text) {
  double value = 0;
  size_t used = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const bool percent = used + 1 == text.size() && text.back() == '%';
  if (used == 0 || (used != text.size() && !percent) || !(value >= 0) || !std::isfinite(value))
    throw Error(ErrorKind::usage, fmt::format("'{}' is no error to allow", text),
                "write 10% or 0.1")
        .at("--max-error");
  return percent ? value / 100 : value;
}

class CompareCommand : public Command {
 public:
  explicit CompareCommand(CLI::App& app) : Command(&app) {
    app.add_option("RUN", what_, "The number of a run, `last`, or a plan file")
        ->type_name("PLAN|RUN")
        ->required();
    auto* steps = app.add_option("--steps", steps_, "Run the plan now, for so many steps")
                      ->type_name("N")
                      ->check(countUpTo(int64_t{1} << 40));
    app.add_flag("--again", again_, "Predict again, with what the store knows now")
        ->excludes(steps);
    app.add_option("--top", top_, "Operators and collectives to show")
        ->type_name("N")
        ->check(countUpTo(1'000'000))
        ->capture_default_str();
    app.add_option("--max-error", maxError_,
                   "Exit with 6 when the step's error is larger, in either direction")
        ->type_name("10%");
    app.add_option("--trace", trace_,
                   "Write both as one trace with paired tracks (.json or .pftrace)")
        ->type_name("FILE");
    profiles_.addTo(app);
    format_.addTo(app, {"table", "json", "csv", "md", "markdown"});
  }

  int run() override {
    if (!trace_.empty()) checkTraceName(trace_);
    const double most = maxError_.empty() ? INFINITY : parseShare(maxError_);
    const Comparison comparison = steps_ > 0 ? compareNow() : compareStored();
    print(comparisonText(comparison, static_cast<size_t>(top_), format_.format()));
    if (!trace_.empty())
      writeTrace(trace_, comparison.program,
                 {{&comparison.predicted, "predicted"}, {&comparison.measured, "measured"}},
                 comparison.planning->training().graph);
    if (std::abs(comparison.error()) <= most) return 0;
    warn(fmt::format("the step's error is {:.1f} %, and --max-error {} allows less",
                     100 * std::abs(comparison.error()), maxError_));
    return kTooFar;
  }

 private:
  Comparison compareStored() const {
    const std::string path = profiles_.path();
    if (path.empty())
      throw Error(ErrorKind::usage, "there is no profile store to read runs from",
                  "name one with --profiles FILE, or give a plan and --steps");
    const ProfileStore store(path, ProfileStore::Access::read);
    const std::vector<RunMeasurement> runs = store.runs();
    const auto named = isPlanFile(what_) ? std::nullopt : findRun(runs, what_);
    if (!named && !isPlanFile(what_))
      throw Error(ErrorKind::usage, fmt::format("'{}' is neither a run nor a plan", what_),
                  "give the number of a run, `last`, or a file that `meshplan plan --out` wrote");
    const RunMeasurement run = named ? *named : newestRunOf(runs, what_);
    return compareRun(run, store.instructions(run.id), again_, path, tellTerminal);
  }

  Comparison compareNow() const {
    if (!isPlanFile(what_))
      throw Error(ErrorKind::usage, fmt::format("'{}' is not a plan to run", what_),
                  "give a file that `meshplan plan --out` wrote, or leave --steps out");
    CLI::App app;
    RunArguments arguments;
    arguments.addTo(app);
    arguments.model.source = what_;
    arguments.settings.steps = steps_;
    arguments.profiles = profiles_;
    arguments.quiet = true;
    arguments.check();
    RunRecord record = runOnThreads(arguments, ranksToRun(arguments));
    return compareRun(std::move(record.run), std::move(record.instructions), false, {},
                      tellTerminal);
  }

  std::string what_, maxError_, trace_;
  int64_t steps_ = 0, top_ = 10;
  bool again_ = false;
  ProfileArguments profiles_;
  FormatArgument format_;
};

}  // namespace

std::unique_ptr<Command> compareCommand(CLI::App& parent) {
  return std::make_unique<CompareCommand>(*parent.add_subcommand("compare", kDescription));
}

}  // namespace meshplan
