// SPDX-License-Identifier: Apache-2.0
#include "cli/run_record.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/run_prediction.h"
#include "backend/local_machine.h"
#include "cli/terminal.h"
#include "core/error.h"
#include "profiles/profile_store.h"
#include "profiles/set_aside.h"

namespace meshplan {
namespace {

constexpr int64_t kWarmUp = 3;

Bytes plannedPeak(const Program& program) {
  Bytes peak;
  for (const RankClass& c : program.rankClasses) peak = std::max(peak, c.arenaBytes);
  return peak;
}

/// How much longer steps take that are recorded than those after them, which are repeated.
double excessOf(const std::vector<StepReport>& steps, const RecordedSteps& recorded, Seconds step) {
  std::vector<double> seconds;
  const auto first = static_cast<size_t>(recorded.first);
  for (size_t s = first; s < std::min(steps.size(), first + static_cast<size_t>(recorded.count));
       ++s)
    seconds.push_back(steps[s].seconds);
  if (seconds.empty() || step.value <= 0) return 0;
  std::nth_element(seconds.begin(), seconds.begin() + std::ssize(seconds) / 2, seconds.end());
  return std::max(0.0, seconds[seconds.size() / 2] / step.value - 1);
}

double overheadOf(const MeasuredRun& measured, Seconds step, const RankBackend& backend) {
  const RecordedSteps recorded = backend.recordedSteps();
  if (recorded.count != RecordedSteps::kAll) return excessOf(measured.steps, recorded, step);
  size_t instructions = 0;
  for (const RankSteps& r : measured.ranks)
    if (!r.steps.empty()) instructions = std::max(instructions, r.steps.front().size());
  return step.value > 0 ? static_cast<double>(instructions) * recordingSeconds() / step.value : 0;
}

std::vector<double> secondsAfterWarmUp(const std::vector<StepReport>& steps,
                                       const RankBackend& backend) {
  std::vector<double> seconds;
  const auto count = static_cast<int64_t>(steps.size());
  for (int64_t s = warmUpSteps(count, backend); s < count; ++s)
    seconds.push_back(steps[static_cast<size_t>(s)].seconds);
  return seconds;
}

}  // namespace

int64_t warmUpSteps(int64_t steps, const RankBackend& backend) {
  const RecordedSteps recorded = backend.recordedSteps();
  const int64_t some = recorded.count == RecordedSteps::kAll ? 0 : recorded.first + recorded.count;
  return std::min(std::max(kWarmUp, some + 1), steps / 2);
}

RunRecord recordRun(const RunPlan& chosen, const Program& program, const MeasuredRun& measured,
                    const HostShare& share, int threads, const RankBackend& backend) {
  RunRecord record;
  const Planning& planning = *chosen.planning;
  const PlanFile file = planFileOf(planning, chosen.report);
  RunMeasurement& run = record.run;
  run.environment = backend.environment();
  run.source = {Origin::run, planning.modelName() + " " + chosen.report.strategy, measured.started};
  run.model = planning.modelName();
  run.graphFingerprint = file.graphFingerprint;
  run.strategy = chosen.report.strategy;
  run.planJson = planToJson(file);
  run.transport = backend.transport();
  run.ranks = program.mesh.ranks();
  run.threads = threads;
  run.steps = static_cast<int64_t>(measured.steps.size());
  run.step = summarise(secondsAfterWarmUp(measured.steps, backend));
  run.predictedStep = chosen.report.stepTime;
  run.predictedUncertainty = chosen.report.uncertainty;
  run.provenance = provenanceName(chosen.report.provenance);
  run.plannedPeak = plannedPeak(program);
  run.measuredPeak = measured.peak;
  run.profilingOverhead = overheadOf(measured, run.step.median, backend);
  record.instructions = recordOf(program, measured.ranks).instructions;
  addPredictions(planning.context(), chosen.report.plan, record.instructions);
  if (share.ranks == run.ranks && backend.teaches())
    record.learned = learnedRows(
        program, measured.ranks,
        {run.environment, run.source, run.transport, share.cores, threads, backend.ownDevices()});
  return record;
}

std::string usableStore(const std::string& path) {
  const OpenedStore opened = openOrSetAside(path);
  if (!opened.message.empty()) warn(opened.message);
  if (!opened.store && !path.empty()) note("the run goes on without a profile store");
  return opened.store ? path : std::string();
}

int64_t storeRun(RunRecord& record, const std::string& path) {
  if (path.empty()) return 0;
  try {
    ProfileStore store(path);
    record.run.id = store.add(record.run, record.instructions);
    store.add(record.learned.operators);
    store.add(record.learned.collectives);
  } catch (const Error& error) {
    warn(fmt::format("{}: the run is not stored", error.what()));
  }
  return record.run.id;
}

}  // namespace meshplan
