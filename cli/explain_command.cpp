// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "app/human.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/critical_path.h"
#include "cli/loading.h"
#include "cli/report.h"
#include "cli/report_json.h"
#include "cli/terminal.h"
#include "core/cluster_json.h"
#include "core/error.h"
#include "planner/search/search.h"

namespace meshplan {
namespace {

using nlohmann::ordered_json;

constexpr size_t kMostNeighbours = 12;
constexpr double kNearlyFull = 0.9;
constexpr double kClearlyFaster = 0.001;
constexpr const char* kDescription =
    "Says why a plan is what it is: its time and memory, its critical path, its neighbours.\n"
    "\n"
    "Examples:\n"
    "  meshplan plan llama3-8b -c 8xH100-SXM -b 64 --out plan.json\n"
    "  meshplan explain plan.json\n"
    "  meshplan explain plan.json --why-not dp=8,tp=1\n";

/// What would have to be better for the step to be faster.
std::string bindingConstraint(const PlanReport& r, Bytes limit) {
  const TimeByCategory& t = r.timeByCategory;
  const double filled = r.peakMemory / limit;
  std::string text;
  if (filled > kNearlyFull)
    text = fmt::format("Memory binds: {} of the limit are used. ", percentText(filled));
  else
    text = fmt::format("Memory does not bind: {} of the limit are used. ", percentText(filled));
  const std::pair<const char*, Seconds> parts[] = {
      {"compute", t.compute},
      {"communication that nothing hides", t.exposedCommunication},
      {"the pipeline's bubble", t.bubble},
      {"the optimizer", t.optimizer}};
  const auto& most =
      *std::max_element(std::begin(parts), std::end(parts),
                        [](const auto& a, const auto& b) { return a.second < b.second; });
  return text + fmt::format("Most of the step ({}) is {}.\n", percentText(most.second / r.stepTime),
                            most.first);
}

std::string difference(double now, double then) {
  const double ratio = then / now;
  if (ratio > 10) return fmt::format("{:.1f} x", ratio);
  return std::abs(ratio - 1) < 0.0005 ? "0.0 %" : fmt::format("{:+.1f} %", 100 * (ratio - 1));
}

/// The plan beside another one, a line per figure.
std::string comparison(const PlanReport& best, const PlanReport& other) {
  Table table{{{""}, {"this plan", true}, {"the other", true}, {"", true}}, {}};
  const auto time = [&](const char* name, Seconds a, Seconds b) {
    table.rows.push_back(
        {name, secondsText(a), secondsText(b), a.value > 0 ? difference(a.value, b.value) : ""});
  };
  const TimeByCategory &a = best.timeByCategory, &b = other.timeByCategory;
  time("step", best.stepTime, other.stepTime);
  time("compute", a.compute, b.compute);
  time("exposed communication", a.exposedCommunication, b.exposedCommunication);
  time("bubble", a.bubble, b.bubble);
  time("optimizer", a.optimizer, b.optimizer);
  const auto bytes = [&](const std::string& name, Bytes x, Bytes y) {
    if (x.value > 0 || y.value > 0)
      table.rows.push_back(
          {name, bytesText(x), bytesText(y),
           x.value > 0 ? difference(static_cast<double>(x.value), static_cast<double>(y.value))
                       : ""});
  };
  bytes("memory", best.peakMemory, other.peakMemory);
  for (size_t c = 0; c < best.memoryByCategory.size(); ++c)
    bytes("  " + std::string(memoryCategoryName(MemoryCategory(c))), best.memoryByCategory[c],
          other.memoryByCategory[c]);
  return render(table, TableFormat::text, "  ");
}

/// Those that fit by time, then those that do not by memory; the plan itself left out.
std::vector<PlanReport> ranked(std::vector<PlanReport> reports, const PlanReport& self) {
  reports.erase(std::remove_if(reports.begin(), reports.end(),
                               [&](const PlanReport& r) { return r.strategy == self.strategy; }),
                reports.end());
  std::stable_sort(reports.begin(), reports.end(), [](const PlanReport& a, const PlanReport& b) {
    if (a.feasible != b.feasible) return a.feasible;
    return a.feasible ? a.stepTime < b.stepTime : a.peakMemory < b.peakMemory;
  });
  if (reports.size() > kMostNeighbours) reports.resize(kMostNeighbours);
  return reports;
}

std::string neighbourText(const std::vector<PlanReport>& reports, const PlanReport& self,
                          Bytes limit) {
  Table table{{{"neighbour"}, {"step", true}, {"", true}, {"memory", true}, {""}}, {}};
  for (const PlanReport& r : reports)
    table.rows.push_back({shortStrategy(r), secondsText(r.stepTime),
                          difference(self.stepTime.value, r.stepTime.value),
                          bytesText(r.peakMemory),
                          r.feasible ? "" : fmt::format("does not fit in {}", bytesText(limit))});
  return render(table, TableFormat::text, "  ");
}

class ExplainCommand : public Command {
 public:
  explicit ExplainCommand(CLI::App& app) : Command(&app) {
    app.add_option("PLAN", path_, "A file that `meshplan plan --out` wrote")->required();
    app.add_option("--why-not", whyNot_, "Another strategy: what it would cost, or why it fails")
        ->type_name("dp=8,tp=1,...");
    app.add_option("--trace", trace_, "Write the step as a trace (.json or .pftrace)")
        ->type_name("FILE");
    profiles_.addTo(app);
    format_.addTo(app, {"table", "json"});
  }

  int run() override {
    if (!trace_.empty()) checkTraceName(trace_);
    const StrategyFilter filter = parseStrategy(whyNot_);
    const PlanFile file = readPlanFile(path_);
    const Planning planning(file.model, file.plan.training,
                            clusterFromJson(file.clusterJson, path_), file.memoryLimit,
                            profiles_.use(), tellTerminal);
    const Plan plan = loadPlan(file, planning);
    PlanReport report = evaluatePlan(planning.context(), plan);
    report.label = "this plan";
    if (whyNot_.empty())
      print(explain(planning, report));
    else
      print(compare(planning, report, filter));
    if (!trace_.empty()) writeTrace(trace_, planning, plan);
    return 0;
  }

 private:
  bool json() const { return format_.format() == Format::json; }

  Plan loadPlan(const PlanFile& file, const Planning& planning) const {
    try {
      return planOf(file, planning);
    } catch (const Error& error) {
      throw error.inFile(path_);
    }
  }

  std::string explain(const Planning& planning, const PlanReport& report) const {
    const Bytes limit = planning.context().memoryLimit;
    const Simulated simulated =
        simulatePlan(planning.context(), report.plan, {.recordSpans = true});
    const auto path = criticalWork(simulated, planning.training().graph);
    const auto others = ranked(neighbours(planning.context(), report), report);
    if (json()) return explainJson(planning, report, path, others);
    std::string out = simulationText(report, planning, Format::table) + "\n" +
                      wrap(bindingConstraint(report, limit), 100, "") + "\n" +
                      bold("The critical path, by what it waits for") + "\n" +
                      criticalWorkText(path);
    out += "\n" + bold("One choice changed") + "\n" + neighbourText(others, report, limit);
    if (!others.empty() && others.front().feasible) out += "\n" + runnerUp(report, others.front());
    return out;
  }

  static std::string runnerUp(const PlanReport& report, const PlanReport& next) {
    const double slower = next.stepTime / report.stepTime - 1;
    if (slower < -kClearlyFaster)
      return fmt::format("{} is {} faster than this plan: plan again.\n", shortStrategy(next),
                         percentText(-slower));
    return fmt::format("The runner-up is {}, {} slower.\n", shortStrategy(next),
                       percentText(std::max(slower, 0.0)));
  }

  static std::string explainJson(const Planning& planning, const PlanReport& report,
                                 const std::vector<CriticalWork>& path,
                                 const std::vector<PlanReport>& others) {
    ordered_json out = documentHead(planning, report.plan.globalBatch);
    out["plan"] = reportJson(report);
    out["binding"] = bindingConstraint(report, planning.context().memoryLimit);
    out["critical_path"] = ordered_json::array();
    for (const CriticalWork& w : path)
      out["critical_path"].push_back(
          {{"work", w.name}, {"count", w.count}, {"seconds", w.time.value}, {"share", w.share}});
    out["neighbours"] = ordered_json::array();
    for (const PlanReport& r : others) out["neighbours"].push_back(reportJson(r));
    return dumpJson(out);
  }

  std::string compare(const Planning& planning, const PlanReport& report,
                      const StrategyFilter& filter) const {
    PlanReport other;
    try {
      other = evaluateStrategy(planning.context(), report.plan.globalBatch, filter);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::usage) throw;
      return impossible(planning, report, error);
    }
    other.label = "the other";
    if (json()) {
      ordered_json out = documentHead(planning, report.plan.globalBatch);
      out["plan"] = reportJson(report);
      out["other"] = reportJson(other);
      return dumpJson(out);
    }
    return planningHeading(planning, report.plan.globalBatch) + "\n" +
           fmt::format("  this plan  {}\n  the other  {}\n\n", shortStrategy(report),
                       shortStrategy(other)) +
           comparison(report, other) + "\n" + verdict(report, other);
  }

  static std::string verdict(const PlanReport& report, const PlanReport& other) {
    if (!other.feasible)
      return wrap(fmt::format("It does not fit: {}.", other.rejection.text), 100, "") + "\n";
    const double slower = other.stepTime / report.stepTime - 1;
    if (slower < 0)
      return fmt::format("It fits and is {} faster: plan again.\n", percentText(-slower));
    return fmt::format("It fits and is {} slower.\n", percentText(slower));
  }

  std::string impossible(const Planning& planning, const PlanReport& report,
                         const Error& error) const {
    if (!json())
      return fmt::format("{} cannot be: {}.\n{}\n", whyNot_, error.problem(),
                         error.remedy().empty() ? "" : "To make it possible: " + error.remedy());
    ordered_json out = documentHead(planning, report.plan.globalBatch);
    out["plan"] = reportJson(report);
    out["other"] = {{"strategy", whyNot_},
                    {"feasible", false},
                    {"rejection", {{"reason", "divisibility"}, {"text", error.problem()}}}};
    return dumpJson(out);
  }

  FormatArgument format_;
  ProfileArguments profiles_;
  std::string path_, whyNot_, trace_;
};

}  // namespace

std::unique_ptr<Command> explainCommand(CLI::App& parent) {
  return std::make_unique<ExplainCommand>(*parent.add_subcommand("explain", kDescription));
}

}  // namespace meshplan
