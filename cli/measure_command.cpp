// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <nlohmann/json.hpp>

#include "app/human.h"
#include "app/local_cluster.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/loading.h"
#include "cli/measuring.h"
#include "cli/profile_arguments.h"
#include "cli/rank_backends.h"
#include "cli/report_json.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "core/error.h"
#include "planner/search/search.h"
#include "profiles/set_aside.h"

namespace meshplan {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kDescription =
    "Times what plans of a model need on this machine, for better predictions.\n"
    "\n"
    "Searches the best plans for so many ranks, then trains with as few of them as hold all\n"
    "operators and collectives that any of them needs, for a few steps each, and stores what\n"
    "these took. What the profile store knows already is skipped: a measurement that was\n"
    "interrupted goes on where it ended. Between several GPUs all collectives are timed besides,\n"
    "from small to large.\n"
    "\n"
    "Examples:\n"
    "  meshplan measure mlp --ranks 2\n"
    "  meshplan measure gpt2 --seq 64 -b 8 --ranks 1,2,4 --budget 300\n"
    "  meshplan plan mlp --cluster local:2 -b 64\n";

class MeasureCommand : public Command {
 public:
  explicit MeasureCommand(CLI::App& app) : Command(&app) {
    model_.addTo(app);
    app.add_option("-n,--ranks", ranks_, "Ranks to measure for, one count or several (1,2,4)")
        ->type_name("N,...")
        ->delimiter(',')
        ->check(countUpTo(64));
    app.add_option("-b,--global-batch", globalBatch_, "Samples per step over all ranks")
        ->type_name("N")
        ->check(countUpTo(int64_t{1} << 32));
    training_.precision = "fp32";
    training_.addTo(app);
    app.add_option("--strategy", strategy_, "Limits on the plans, as of `meshplan plan`")
        ->type_name("dp=2,tp=2,...");
    app.add_option("--plans", plans_, "How many of the best plans to measure for")
        ->type_name("N")
        ->check(countUpTo(10000))
        ->capture_default_str();
    app.add_option("--budget", budget_, "Seconds to measure for at most")
        ->type_name("SECONDS")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--backend", backend_,
                   "What to measure: the processor (cpu) or NVIDIA GPUs (cuda)")
        ->type_name("NAME")
        ->check(oneOf({"cpu", "cuda"}))
        ->capture_default_str();
    app.add_flag("--again", again_, "Measure also what is known, and keep both");
    profiles_.addTo(app);
    format_.addTo(app, {"table", "json"});
  }

  int run() override {
    catchInterrupts();
    const std::string path = profiles_.path();
    if (path.empty())
      throw Error(ErrorKind::usage, "there is no profile store to write to",
                  "name one with --profiles FILE");
    OpenedStore opened = openOrSetAside(path);
    if (!opened.store)
      throw Error(ErrorKind::runtime, opened.message, "name another store with --profiles FILE");
    if (!opened.message.empty()) warn(opened.message);
    ProfileStore& store = *opened.store;
    begin_ = Clock::now();
    for (int64_t ranks : ranks_) measure(static_cast<int>(ranks), store);
    clearProgress();
    report(path);
    return interrupted() ? 130 : 0;
  }

 private:
  struct Totals {
    size_t wanted = 0, known = 0, left = 0, operators = 0, collectives = 0;
    double overhead = 0;
  };

  bool outOfTime() const { return secondsSoFar() > budget_ || interrupted(); }
  double secondsSoFar() const {
    return std::chrono::duration<double>(Clock::now() - begin_).count();
  }

  std::vector<Plan> candidates(const Planning& planning) const {
    SearchOptions options;
    options.filter = parseStrategy(strategy_);
    options.globalBatch = globalBatch_ > 0 ? globalBatch_ : defaultGlobalBatch(planning);
    options.top = static_cast<int>(plans_);
    options.stop = interrupted;
    const SearchResult found = searchPlans(planning.context(), options);
    std::vector<Plan> plans;
    for (const auto* list : {&found.plans, &found.baselines, &found.pareto})
      for (const PlanReport& report : *list)
        if (report.feasible) plans.push_back(report.plan);
    if (plans.empty())
      throw Error(ErrorKind::infeasible, "no plan fits this machine",
                  "try a smaller --global-batch or model, or more --ranks");
    return plans;
  }

  void measure(int count, ProfileStore& store) {
    const LocalRanks ranks = localRanks(count);
    const bool gpus = backend_ == "cuda";
    const auto backend = rankBackend(backend_, ranks);
    const Planning planning(
        model_.request(), training_.options(),
        gpus ? loadGpuCluster(count) : loadLocalCluster(count, store.path(), tellTerminal),
        backend->memory(), {}, tellTerminal);
    cluster_ = planning.cluster().name;
    useChoices(*backend, store.path());
    if (gpus) totals_.collectives += sweepCollectives(*backend, count, store, again_);
    const std::vector<Plan> plans = candidates(planning);
    Measuring measuring(planning, plans, *backend, ranks);
    if (!again_) measuring.skipKnown(store);
    totals_.wanted += measuring.total();
    totals_.known += measuring.total() - measuring.left();
    while (measuring.left() > 0 && !outOfTime()) {
      showProgress(progressLine(count, measuring));
      const auto done = measuring.measureNext(store, [this] { return outOfTime(); });
      plansRun_.push_back({{"ranks", count}, {"strategy", done.strategy}});
      totals_.operators += done.operators;
      totals_.collectives += done.collectives;
      totals_.overhead = std::max(totals_.overhead, done.overhead);
    }
    totals_.left += measuring.left();
    keepChoices(*backend, store.path());
  }

  std::string progressLine(int ranks, const Measuring& measuring) const {
    const double done = 1 - static_cast<double>(measuring.left()) /
                                static_cast<double>(std::max<size_t>(measuring.total(), 1));
    return fmt::format("[{}] {} rank{}: {} of {} operators and collectives are known, {} of {}",
                       bar(done, 20), ranks, ranks == 1 ? "" : "s",
                       measuring.total() - measuring.left(), measuring.total(),
                       secondsText(Seconds(secondsSoFar())), secondsText(Seconds(budget_)));
  }

  /// Where the time that recording takes is the host's, and known.
  bool onProcessor() const { return backend_ == "cpu"; }

  void report(const std::string& path) const {
    if (format_.format() == Format::json) {
      print(dumpJson({{"schema_version", 1},
                      {"profiles", path},
                      {"wanted", totals_.wanted},
                      {"known_before", totals_.known},
                      {"not_measured", totals_.left},
                      {"plans", plansRun_},
                      {"operator_rows", totals_.operators},
                      {"collective_rows", totals_.collectives},
                      {"recording_overhead",
                       onProcessor() ? nlohmann::ordered_json(totals_.overhead) : nullptr},
                      {"seconds", secondsSoFar()}}));
      return;
    }
    print(fmt::format(
        "{} operators and collectives: {} were known, {} measured in {} with {} "
        "plan{}{}\n",
        totals_.wanted, totals_.known, totals_.wanted - totals_.known - totals_.left,
        secondsText(Seconds(secondsSoFar())), plansRun_.size(), plansRun_.size() == 1 ? "" : "s",
        totals_.left > 0 ? fmt::format(", {} not yet", totals_.left) : ""));
    if (!plansRun_.empty() && onProcessor())
      print(fmt::format("recording took at most {:.2f} % of a step\n", 100 * totals_.overhead));
    if (totals_.left > 0 && !interrupted())
      note("the budget is used up; the same command goes on, --budget gives it more time");
    note(fmt::format("stored in {}; `meshplan plan {} --cluster {}` uses it", path, model_.source,
                     cluster_));
  }

  ModelArguments model_;
  TrainingArguments training_;
  ProfileArguments profiles_;
  FormatArgument format_;
  std::vector<int64_t> ranks_{1};
  std::string cluster_;  // that was measured last
  int64_t globalBatch_ = 0, plans_ = 24;
  double budget_ = 120;
  std::string strategy_, backend_ = "cpu";
  Clock::time_point begin_;
  bool again_ = false;
  Totals totals_;
  nlohmann::ordered_json plansRun_ = nlohmann::ordered_json::array();
};

}  // namespace

std::unique_ptr<Command> measureCommand(CLI::App& parent) {
  return std::make_unique<MeasureCommand>(*parent.add_subcommand("measure", kDescription));
}

}  // namespace meshplan
