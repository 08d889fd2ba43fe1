// SPDX-License-Identifier: Apache-2.0
#include "cli/run_ranks.h"

#include <fmt/format.h>

#include <type_traits>

#include "backend/clock_profiler.h"
#include "backend/cpu/cpu_device.h"
#include "backend/onnx_weights.h"
#include "cli/planning.h"
#include "cli/terminal.h"
#include "planner/lowering.h"

namespace meshplan {
namespace {

static_assert(std::is_trivially_copyable_v<Span>);

TrainingTask taskOf(const RunPlan& chosen, const Program& program) {
  const TrainingModel& model = chosen.planning->training();
  return {model.graph, program, model.referenceBatch, chosen.report.plan.globalBatch,
          fingerprintText(graphFingerprint(model.graph, model.forwardOps))};
}

constexpr const char* kRandom = "random";  // --weights

/// Whether this rank is the one of its stage whose steps are traced.
bool represents(const MeshCoordinates& at) {
  return at[0] == 0 && at[1] == 0 && at[2] == 0;
}

}  // namespace

RunRanks::RunRanks(const RunArguments& arguments, const RunPlan& chosen)
    : arguments_(arguments),
      chosen_(chosen),
      program_(lower(chosen.planning->training(), chosen.report.plan, {}, LoweredFor::execution)),
      task_(taskOf(chosen, program_)),
      log_(arguments, chosen) {}

void RunRanks::announce(const HostShare& share, bool prints) {
  threads_ = arguments_.threads > 0 ? static_cast<int>(arguments_.threads) : share.threads;
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
  CpuDevice device(threads_);
  const MeshCoordinates at = program_.mesh.coordinates(world.rank());
  // Hosts have clocks of their own; the barrier ends everywhere at about the same time.
  world.barrier();
  ClockProfiler profiler(program_, static_cast<int>(at.back()), ClockProfiler::Clock::now());
  TrainingSettings settings = arguments_.settings;
  settings.modelValues = &modelValues_;
  settings.notSaved = [](int64_t step, const Error& error) {
    warn(fmt::format("step {} is not saved: {}", step, error.what()));
  };
  if (settings.weights == kRandom) settings.weights.clear();
  settings.optimizer.kind = chosen_.report.plan.training.optimizer;
  if (!arguments_.trace.empty() && represents(at)) settings.profiler = &profiler;
  trainRank(task_, settings, device, world, [&](const StepReport& report) {
    if (world.rank() == 0) log_.add(report);
    return !interrupted();
  });
  if (!arguments_.trace.empty()) gatherSpans(world, profiler.spans());
}

void RunRanks::gatherSpans(Communicator& world, const std::vector<Span>& mine) {
  auto count = static_cast<int64_t>(mine.size());
  if (world.rank() != 0) {
    if (!represents(program_.mesh.coordinates(world.rank()))) return;
    world.send(&count, sizeof count, 0);
    world.send(mine.data(), count * static_cast<int64_t>(sizeof(Span)), 0);
    return;
  }
  spans_ = mine;
  for (int rank = 1; rank < world.size(); ++rank) {
    if (!represents(program_.mesh.coordinates(rank))) continue;
    world.receive(&count, sizeof count, rank);
    const size_t before = spans_.size();
    spans_.resize(before + static_cast<size_t>(count));
    world.receive(spans_.data() + before, count * static_cast<int64_t>(sizeof(Span)), rank);
  }
}

void RunRanks::finish(bool prints) const {
  if (!prints) return;
  log_.finish();
  if (arguments_.trace.empty()) return;
  const Timeline timeline = measuredTimeline(program_, spans_);
  writeTrace(arguments_.trace, program_, {{&timeline, ""}}, task_.graph);
}

}  // namespace meshplan
