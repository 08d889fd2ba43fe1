// SPDX-License-Identifier: Apache-2.0
#include "cli/run_ranks.h"

#include <fmt/format.h>

#include <ctime>

#include "backend/gather_steps.h"
#include "backend/onnx_weights.h"
#include "cli/loading.h"
#include "cli/rank_backends.h"
#include "cli/terminal.h"
#include "planner/lowering.h"

namespace meshplan {
namespace {

TrainingTask taskOf(const RunPlan& chosen, const Program& program) {
  const TrainingModel& model = chosen.planning->training();
  return {model.graph, program, model.referenceBatch, chosen.report.plan.globalBatch,
          fingerprintText(graphFingerprint(model.graph, model.forwardOps))};
}

constexpr const char* kRandom = "random";  // --weights

constexpr size_t kRecordedSteps = 32;  // the last ones, of every rank

}  // namespace

LocalRanks localRanksOf(const RunArguments& arguments, const HostShare& share) {
  const int threads = arguments.threads > 0 ? static_cast<int>(arguments.threads) : share.threads;
  return {share.cores, share.ranks, threads};
}

RunRanks::RunRanks(const RunArguments& arguments, const RunPlan& chosen, const RunMachine& machine,
                   RankBackend& backend)
    : arguments_(arguments),
      chosen_(chosen),
      machine_(machine),
      program_(lower(chosen.planning->training(), chosen.report.plan, {}, LoweredFor::execution)),
      task_(taskOf(chosen, program_)),
      log_(arguments, chosen),
      backend_(backend) {
  measured_.started = machine.started;
}

void RunRanks::announce(const HostShare& share, bool prints) {
  share_ = share;
  threads_ = localRanksOf(arguments_, share).threads;
  useChoices(backend_, machine_.profiles);
  readModelValues(prints);
  if (!prints) return;
  if (share.ranks * threads_ > share.cores)
    warn(
        fmt::format("{} rank{} of {} thread{} share{} {} core{}: steps take longer than on as "
                    "many cores as threads",
                    share.ranks, share.ranks == 1 ? "" : "s", threads_, threads_ == 1 ? "" : "s",
                    share.ranks == 1 ? "s" : "", share.cores, share.cores == 1 ? "" : "s"));
  log_.announce(program_, threads_);
}

/// The constants of a file are needed whatever the weights are.
void RunRanks::readModelValues(bool prints) {
  const Planning& planning = *chosen_.planning;
  if (planning.origins().empty()) return;
  const std::string& source = planning.request().source;
  const bool own = arguments_.settings.weights.empty() && arguments_.settings.resume.empty();
  OnnxWeights read =
      readOnnxWeights(source, planning.training().graph, planning.origins(), own, threads_);
  if (prints && !read.missing.empty())
    warn(fmt::format("{}: holds no values for {} of its parameters, which start at random: {}{}",
                     source, read.missing.size(), read.missing.front(),
                     read.missing.size() > 1 ? " and others" : ""));
  modelValues_ = std::move(read.values);
}

void RunRanks::train(Communicator& world) {
  RankParts parts = backend_.open(world);
  const auto stage = static_cast<int>(program_.mesh.coordinates(world.rank()).back());
  std::unique_ptr<StepRecorder> recorder;
  if (!arguments_.noProfile)
    recorder = backend_.recorder(
        parts, {program_, task_.graph, stage, commonEpoch(world), kRecordedSteps});
  TrainingSettings settings = arguments_.settings;
  settings.modelValues = &modelValues_;
  settings.notSaved = [](int64_t step, const Error& error) {
    warn(fmt::format("step {} is not saved: {}", step, error.what()));
  };
  if (settings.weights == kRandom) settings.weights.clear();
  settings.optimizer.kind = chosen_.report.plan.training.optimizer;
  settings.profiler = recorder.get();
  settings.recorded = backend_.recordedSteps();
  int64_t steps = 0;
  Bytes arena;
  trainRank(task_, settings, parts, world, [&](const StepReport& report) {
    ++steps;
    arena = report.arena;
    if (world.rank() == 0) log_.add(report);
    return !interrupted();
  });
  if (recorder) gather(world, *recorder, steps, arena);
}

void RunRanks::gather(Communicator& world, const StepRecorder& recorder, int64_t steps,
                      Bytes arena) {
  const bool every = backend_.recordedSteps().count == RecordedSteps::kAll;
  const auto recorded = static_cast<int64_t>(recorder.steps().size());
  const int64_t kept =
      every ? std::min<int64_t>(steps - warmUpSteps(steps, backend_), recorded) : recorded;
  std::vector<RankSteps> all =
      gatherSteps(world, {world.rank(), {recorder.steps().end() - kept, recorder.steps().end()}});
  auto peak = static_cast<double>(arena.value);
  world.allReduce(&peak, 1, DType::f64, ReduceOp::max);
  if (world.rank() != 0) return;
  measured_.ranks = std::move(all);
  measured_.peak = Bytes(static_cast<int64_t>(peak));
}

RunRecord RunRanks::finish(bool prints) {
  if (!prints) return {};
  keepChoices(backend_, machine_.profiles);
  RunRecord record;
  measured_.steps = log_.steps();
  const bool measured = !arguments_.noProfile && !measured_.steps.empty();
  if (measured) {
    record = recordRun(chosen_, program_, measured_, share_, threads_, backend_);
    storeRun(record, machine_.profiles);
  }
  log_.finish(measured ? &record.run : nullptr, backend_.deviceMemoryUsed());
  if (measured && !arguments_.trace.empty()) {
    const Timeline timeline = recordOf(program_, measured_.ranks).timeline;
    writeTrace(arguments_.trace, program_, {{&timeline, ""}}, task_.graph);
  }
  return record;
}

}  // namespace meshplan
