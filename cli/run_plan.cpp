// SPDX-License-Identifier: Apache-2.0
#include "cli/run_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "app/human.h"
#include "app/local_cluster.h"
#include "cli/loading.h"
#include "cli/rank_backends.h"
#include "cli/terminal.h"
#include "core/error.h"
#include "planner/search/search.h"
#include "profiles/load_cluster.h"

namespace meshplan {
namespace {

Error notOfThePlan(const RunArguments& arguments, const std::string& planned,
                   const std::string& remedy) {
  return Error(ErrorKind::usage, "the plan is for " + planned, remedy).inFile(arguments.plan);
}

/// The plan's own batch, precision and optimizer hold.
void checkAgainstPlan(const RunArguments& arguments, const Plan& plan) {
  const TrainingOptions& t = plan.training;
  const int64_t ranks = plan.mesh.ranks();
  if (arguments.ranks > 0 && arguments.ranks != ranks)
    throw notOfThePlan(arguments, fmt::format("{} ranks", ranks),
                       "leave --ranks out, or plan again");
  if (arguments.globalBatch > 0 && arguments.globalBatch != plan.globalBatch)
    throw notOfThePlan(arguments, fmt::format("a global batch of {}", plan.globalBatch),
                       "leave --global-batch out, or plan again");
  if (arguments.given("--precision") && arguments.training.options().precision != t.precision)
    throw notOfThePlan(arguments, std::string(precisionName(t.precision)),
                       "leave --precision out, or plan again");
  if (arguments.given("--optimizer") && arguments.training.options().optimizer != t.optimizer)
    throw notOfThePlan(arguments, std::string(optimizerName(t.optimizer)),
                       "leave --optimizer out, or plan again");
}

Cluster clusterOf(const RunArguments& arguments, int64_t ranks, const RunMachine& machine) {
  if (arguments.backend == "cuda")
    return loadGpuCluster(static_cast<int>(ranks), std::max(machine.hosts, 1));
  if (machine.profiles.empty() || machine.hosts != 1)
    return loadCluster(fmt::format("{}xCPU", ranks));
  return loadLocalCluster(static_cast<int>(ranks), machine.profiles, tellTerminal,
                          static_cast<int>(arguments.threads));
}

ProfileUse profilesOf(const RunMachine& machine) {
  return {machine.hosts == 1 ? machine.profiles : std::string(), machine.transport};
}

std::unique_ptr<Planning> planningOf(const RunArguments& arguments, const PlanFile& file,
                                     const RunMachine& machine) {
  const ModelRequest request =
      arguments.model.source.empty() ? file.model : arguments.model.request();
  return std::make_unique<Planning>(request, file.plan.training,
                                    clusterOf(arguments, file.plan.mesh.ranks(), machine),
                                    std::nullopt, profilesOf(machine), tellTerminal);
}

RunPlan planOfFile(const RunArguments& arguments, const RunMachine& machine) {
  const PlanFile file = readPlanFile(arguments.plan);
  checkAgainstPlan(arguments, file.plan);
  RunPlan chosen{planningOf(arguments, file, machine), {}};
  try {
    chosen.report = evaluatePlan(chosen.planning->context(), planOf(file, *chosen.planning));
  } catch (const Error& error) {
    throw error.inFile(arguments.plan);
  }
  return chosen;
}

Error tooLarge(Bytes needed, Bytes memory) {
  return Error(ErrorKind::infeasible,
               fmt::format("the plan needs {} per rank, and {} per rank are free",
                           bytesText(needed), bytesText(memory)),
               "try a smaller --global-batch, recompute=full in --strategy, or more machines");
}

Error noPlan(const SearchResult& result, int64_t ranks, Bytes memory) {
  if (result.nearestMiss) return tooLarge(result.nearestMiss->peakMemory, memory);
  return Error(ErrorKind::infeasible, fmt::format("no plan for {} ranks", ranks),
               "loosen --strategy, or choose a --global-batch that more numbers divide");
}

RunPlan searchPlan(const RunArguments& arguments, int64_t ranks, const RunMachine& machine) {
  RunPlan chosen{std::make_unique<Planning>(arguments.model.request(), arguments.training.options(),
                                            clusterOf(arguments, ranks, machine), machine.memory,
                                            profilesOf(machine), tellTerminal),
                 {}};
  SearchOptions options;
  options.filter = parseStrategy(arguments.strategy);
  options.globalBatch =
      arguments.globalBatch > 0 ? arguments.globalBatch : defaultGlobalBatch(*chosen.planning);
  options.threads = static_cast<int>(std::max(std::thread::hardware_concurrency(), 1u));
  options.stop = interrupted;
  SearchResult result = searchPlans(chosen.planning->context(), options);
  if (result.plans.empty()) throw noPlan(result, ranks, machine.memory);
  chosen.report = std::move(result.plans.front());
  return chosen;
}

std::string fromRankZero(Communicator& world, std::string text) {
  auto bytes = static_cast<int64_t>(text.size());
  world.broadcast(&bytes, sizeof bytes, 0);
  text.resize(static_cast<size_t>(bytes));
  world.broadcast(text.data(), bytes, 0);
  return text;
}

RunPlan planOfRankZero(const RunArguments& arguments, const std::string& text) {
  const PlanFile file = planFromJson(text, "the plan of rank 0");
  RunPlan chosen{planningOf(arguments, file, {}), {}};
  chosen.report.plan = planOf(file, *chosen.planning);
  return chosen;
}

}  // namespace

int64_t ranksToRun(const RunArguments& arguments) {
  if (arguments.plan.empty()) return std::max<int64_t>(arguments.ranks, 1);
  const PlanFile file = readPlanFile(arguments.plan);
  checkAgainstPlan(arguments, file.plan);
  return file.plan.mesh.ranks();
}

RunPlan chooseRunPlan(const RunArguments& arguments, int64_t ranks, const RunMachine& machine) {
  if (arguments.plan.empty()) return searchPlan(arguments, ranks, machine);
  RunPlan chosen = planOfFile(arguments, machine);
  if (chosen.report.peakMemory > machine.memory)
    throw tooLarge(chosen.report.peakMemory, machine.memory).inFile(arguments.plan);
  return chosen;
}

void agreeOnOptions(Communicator& world, const RunArguments& arguments) {
  const std::vector<std::string> own = arguments.shared();
  for (const std::string& option : own) {
    const std::string first = fromRankZero(world, option);
    if (first != option)
      throw Error(
          ErrorKind::usage,
          fmt::format("rank {} was started with {}, rank 0 with {}", world.rank(), option, first),
          "start all ranks with the same options");
  }
}

RunPlan agreeOnRunPlan(Communicator& world, const RunArguments& arguments,
                       const RunMachine& machine) {
  if (world.rank() != 0) return planOfRankZero(arguments, fromRankZero(world, {}));
  if (!arguments.plan.empty() && ranksToRun(arguments) != world.size())
    throw notOfThePlan(
        arguments,
        fmt::format("{} ranks, and {} were started", ranksToRun(arguments), world.size()),
        "start as many as the plan is for");
  RunPlan chosen = chooseRunPlan(arguments, world.size(), machine);
  fromRankZero(world, planToJson(planFileOf(*chosen.planning, chosen.report)));
  return chosen;
}

}  // namespace meshplan
