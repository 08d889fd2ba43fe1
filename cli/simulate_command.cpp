// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/loading.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "core/cluster_json.h"
#include "core/error.h"
#include "profiles/load_cluster.h"

namespace meshplan {
namespace {

constexpr const char* kDescription =
    "Simulates one strategy, or a plan that `meshplan plan --out` wrote.\n"
    "\n"
    "Examples:\n"
    "  meshplan simulate gpt2-xl -c 8xA100-SXM-80GB --strategy dp=8,zero=1,mbs=4\n"
    "  meshplan simulate llama3-8b -c 4x8xH100-SXM -b 128 \\\n"
    "      --strategy dp=4,tp=4,pp=2,sp=on,schedule=1f1b,recompute=selective\n"
    "  meshplan simulate llama3-8b -c 8xH100-SXM --plan plan.json --trace step.json\n";

class SimulateCommand : public Command {
 public:
  explicit SimulateCommand(CLI::App& app) : Command(&app) {
    model_.addTo(app);
    cluster_.addTo(app, true);
    app.add_option("-b,--global-batch", globalBatch_, "Samples per step over all devices")
        ->type_name("N")
        ->check(countUpTo(int64_t{1} << 32));
    training_.addTo(app);
    auto* strategy =
        app.add_option("--strategy", strategy_,
                       "What to simulate; dp takes the devices that are left, the rest is 1, off "
                       "or none unless said; keys as of `meshplan plan --strategy`")
            ->type_name("dp=8,tp=4,...");
    app.add_option("--plan", plan_, "A plan file to simulate")
        ->type_name("plan.json")
        ->excludes(strategy);
    app.add_option("-o,--out", out_, "Write the plan to this file")->type_name("plan.json");
    app.add_option("--trace", trace_, "Write the step as a trace (.json or .pftrace)")
        ->type_name("FILE");
    format_.addTo(app, {"table", "json", "csv", "md"});
  }

  int run() override {
    if (strategy_.empty() == plan_.empty())
      throw Error(ErrorKind::usage, "nothing to simulate", "give --strategy or --plan");
    if (!trace_.empty()) checkTraceName(trace_);
    const StrategyFilter filter = parseStrategy(strategy_);
    const auto [planning, report] = plan_.empty() ? simulateStrategy(filter) : simulatePlanFile();
    print(simulationText(report, *planning, format_.format()));
    if (!trace_.empty()) writeTrace(trace_, *planning, report.plan);
    if (!out_.empty()) {
      writeFile(out_, planToJson(planFileOf(*planning, report)));
      note("wrote " + out_);
    }
    if (!report.feasible)
      throw Error(ErrorKind::infeasible, report.rejection.text,
                  "use more devices, recomputation, a higher ZeRO stage or a smaller micro-batch");
    return 0;
  }

 private:
  struct Result {
    std::unique_ptr<Planning> planning;
    PlanReport report;
  };

  Result simulateStrategy(const StrategyFilter& filter) const {
    auto planning = loadPlanning(model_, training_, cluster_);
    const int64_t batch = globalBatch_ > 0 ? globalBatch_ : defaultGlobalBatch(*planning);
    PlanReport report = evaluateStrategy(planning->context(), batch, filter);
    return {std::move(planning), std::move(report)};
  }

  /// The plan's own batch, precision and optimizer hold.
  Result simulatePlanFile() const {
    const PlanFile file = readPlanFile(plan_);
    if (globalBatch_ > 0 && globalBatch_ != file.plan.globalBatch)
      throw Error(ErrorKind::usage,
                  fmt::format("the plan was made for a global batch of {}", file.plan.globalBatch),
                  "leave --global-batch out, or plan again");
    TrainingArguments training = training_;
    training.precision = precisionName(file.plan.training.precision);
    training.optimizer = optimizerName(file.plan.training.optimizer);
    training.runtime = runtimeName(file.plan.training.runtime);
    training.gradients = gradientName(file.plan.training.gradientDType);
    auto planning = loadPlanning(model_, training, cluster_);
    PlanReport report;
    try {
      report = evaluatePlan(planning->context(), planOf(file, *planning));
    } catch (const Error& error) {
      throw error.inFile(plan_);
    }
    return {std::move(planning), std::move(report)};
  }

  ModelArguments model_;
  ClusterArguments cluster_;
  TrainingArguments training_;
  FormatArgument format_;
  int64_t globalBatch_ = 0;
  std::string strategy_, plan_, trace_, out_;
};

}  // namespace

std::unique_ptr<Command> simulateCommand(CLI::App& parent) {
  return std::make_unique<SimulateCommand>(*parent.add_subcommand("simulate", kDescription));
}

}  // namespace meshplan
