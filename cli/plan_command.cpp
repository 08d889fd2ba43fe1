// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <thread>

#include "app/human.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/loading.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "core/error.h"

namespace meshplan {
namespace {

constexpr int kInterrupted = 130;

constexpr const char* kDescription =
    "Finds the best way to train a model on a cluster.\n"
    "\n"
    "Examples:\n"
    "  meshplan plan llama3-8b --cluster 8xH100-SXM --global-batch 64 --seq 8192\n"
    "  meshplan plan model.onnx -c 2x8xA100-SXM-80GB --dim batch=32 --strategy 'tp<=4'\n"
    "  meshplan plan gpt3-175b -c 128x8xA100-SXM-80GB --objective memory --top 10\n"
    "  meshplan plan config.json -c cluster.json --out plan.json --trace step.pftrace\n";

class PlanCommand : public Command {
 public:
  explicit PlanCommand(CLI::App& app) : Command(&app) {
    model_.addTo(app);
    cluster_.addTo(app, true);
    app.add_option("-b,--global-batch", globalBatch_, "Samples per step over all devices")
        ->type_name("N")
        ->check(countUpTo(int64_t{1} << 32));
    training_.addTo(app);
    app.add_option("--objective", objective_, "What to minimise: time, memory or cost")
        ->type_name("NAME")
        ->check(oneOf({"time", "memory", "cost"}))
        ->capture_default_str();
    app.add_option("--strategy", strategy_,
                   "Limits on the search: dp, tp, pp, ep, vpp, mbs, zero, bucket with =, <= or >=; "
                   "sp=on|off, schedule=gpipe|1f1b|interleaved, recompute=none|selective|full; how "
                   "it is run: transfers=overlapped|blocking, collectives=blocking|overlapped, "
                   "gather=block|parameter, stages=balanced|even|13:12:12:13")
        ->type_name("tp=8,pp<=4");
    app.add_option("--top", top_, "Plans to show")
        ->type_name("K")
        ->check(countUpTo(1000))
        ->capture_default_str();
    app.add_option("--time-limit", timeLimit_, "Stop searching after so many seconds")
        ->type_name("S")
        ->check(CLI::PositiveNumber);
    app.add_flag("--exhaustive", exhaustive_,
                 "Simulate every plan that its bound does not prove slower than the best");
    app.add_option("--threads", threads_, "Threads of the search (default: all cores)")
        ->type_name("N")
        ->check(countUpTo(1024));
    app.add_option("-o,--out", out_, "Write the best plan to this file")->type_name("plan.json");
    app.add_option("--trace", trace_, "Write the best plan's step as a trace (.json or .pftrace)")
        ->type_name("FILE");
    format_.addTo(app, {"table", "json", "csv", "md"});
  }

  int run() override {
    catchInterrupts();
    SearchOptions options = searchOptions();
    if (!trace_.empty()) checkTraceName(trace_);
    const auto planning = loadPlanning(model_, training_, cluster_);
    if (options.objective == Objective::cost && planning->cluster().pricePerHour <= 0)
      throw Error(ErrorKind::usage, "the cluster has no price",
                  "use --objective time, or a cluster file with price_per_hour");
    options.globalBatch = globalBatch_ > 0 ? globalBatch_ : defaultGlobalBatch(*planning);
    const SearchResult result = searchPlans(planning->context(), options);
    clearProgress();
    print(searchText(result, *planning, options, format_.format()));
    summarise(result);
    if (result.plans.empty()) return refuse(result, *planning);
    save(result.plans.front(), *planning);
    return interrupted() ? kInterrupted : 0;
  }

 private:
  SearchOptions searchOptions() const {
    static const std::map<std::string, Objective> kObjectives = {
        {"time", Objective::time}, {"memory", Objective::memory}, {"cost", Objective::cost}};
    SearchOptions options;
    options.objective = kObjectives.at(objective_);
    options.filter = parseStrategy(strategy_);
    options.top = top_;
    if (timeLimit_ > 0) options.timeLimit = Seconds(timeLimit_);
    const auto cores = static_cast<int>(std::thread::hardware_concurrency());
    options.exhaustive = exhaustive_;
    options.threads = threads_ > 0 ? threads_ : std::max(cores, 1);
    options.stop = interrupted;
    options.progress = [](const SearchProgress& p) {
      const std::string best =
          p.best ? fmt::format(", best so far {}", secondsText(p.best->stepTime)) : "";
      showProgress(fmt::format("{} candidates, {} simulated{}",
                               groupedText(static_cast<double>(p.evaluated)), p.simulated, best));
    };
    return options;
  }

  void summarise(const SearchResult& result) const {
    std::string text = fmt::format("{} candidates, {} of them too large, {} simulated in {}",
                                   groupedText(static_cast<double>(result.evaluated)),
                                   groupedText(static_cast<double>(result.rejected)),
                                   result.simulated, secondsText(result.wall));
    if (!result.plans.empty() && result.complete)
      text += fmt::format("; no plan of this space is faster than {} (gap {})",
                          secondsText(result.lowerBound), percentText(result.gap));
    note(text);
    if (!result.complete) warn("the search was stopped early; this is the best so far");
  }

  static int refuse(const SearchResult& result, const Planning& planning) {
    if (interrupted()) return kInterrupted;
    if (!result.complete)
      throw Error(ErrorKind::infeasible, "no plan was found in time", "raise --time-limit");
    throw Error(ErrorKind::infeasible, "no plan fits",
                result.nearestMiss ? nearestMissRemedy(*result.nearestMiss, planning)
                                   : "no candidate is left: loosen --strategy, or choose a "
                                     "--global-batch that more numbers divide");
  }

  void save(const PlanReport& best, const Planning& planning) const {
    if (!out_.empty()) {
      writeFile(out_, planToJson(planFileOf(planning, best)));
      note(fmt::format("wrote {}: `meshplan explain {}` says why it is the best", out_, out_));
    }
    if (!trace_.empty()) writeTrace(trace_, planning, best.plan);
  }

  ModelArguments model_;
  ClusterArguments cluster_;
  TrainingArguments training_;
  FormatArgument format_;
  int64_t globalBatch_ = 0;
  std::string objective_ = "time", strategy_, out_, trace_;
  bool exhaustive_ = false;
  int top_ = 5, threads_ = 0;
  double timeLimit_ = 0;
};

}  // namespace

std::unique_ptr<Command> planCommand(CLI::App& parent) {
  return std::make_unique<PlanCommand>(*parent.add_subcommand("plan", kDescription));
}

}  // namespace meshplan
