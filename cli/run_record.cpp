// SPDX-License-Identifier: Apache-2.0
#include "cli/run_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "backend/local_machine.h"
#include "cli/human.h"
#include "cli/terminal.h"
#include "core/error.h"
#include "core/instruction_names.h"
#include "profiles/profile_store.h"
#include "profiles/set_aside.h"

namespace meshplan {
namespace {

constexpr int64_t kWarmUp = 3;
constexpr double kInterval = 2;  // standard deviations

std::string provenanceOf(const PlanContext& context, const Simulated& simulated, const Span& s) {
  const Program& program = simulated.program;
  const Routine& routine = program.routines[program.rankClasses[s.rankClass].calls[s.call].routine];
  const Instruction& in = routine.instructions[s.instruction];
  if (in.kind == Instruction::Kind::compute)
    return std::string(provenanceName(context.cost.operatorTime(program.work[in.work]).provenance));
  const bool transfer = in.kind != Instruction::Kind::collective;
  const MeshAxes axes = transfer ? MeshAxes(MeshAxis::pipeline) : in.axes;
  const GroupTopology group =
      describeGroup(context.cluster, DeviceMesh(context.cluster, program.mesh), axes);
  const CollectiveKind kind = transfer ? CollectiveKind::sendReceive : in.collective;
  return std::string(provenanceName(context.cost.collectiveTime(kind, in.bytes, group).provenance));
}

Bytes plannedPeak(const Program& program) {
  Bytes peak;
  for (const RankClass& c : program.rankClasses) peak = std::max(peak, c.arenaBytes);
  return peak;
}

double overheadOf(const MeasuredRun& measured, Seconds step) {
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

Seconds nonNegative(double seconds) {
  return Seconds(std::max(0.0, seconds));
}

}  // namespace

int64_t warmUpSteps(int64_t steps, const RankBackend& backend) {
  const RecordedSteps recorded = backend.recordedSteps();
  const int64_t some = recorded.count == RecordedSteps::kAll ? 0 : recorded.first + recorded.count;
  return std::min(std::max(kWarmUp, some + 1), steps / 2);
}

void addPredictions(const RunPlan& chosen, std::vector<InstructionMeasurement>& rows) {
  const PlanContext& context = chosen.planning->context();
  const Simulated simulated =
      simulatePlan(context, chosen.report.plan, {.recordSpans = true, .recordMemory = false});
  std::map<std::tuple<uint16_t, uint32_t, uint32_t>, const Span*> spans;
  for (const Span& s : simulated.timeline.spans) spans[{s.rankClass, s.call, s.instruction}] = &s;
  const Program& program = simulated.program;
  for (InstructionMeasurement& m : rows) {
    const auto found = spans.find({m.rankClass, m.call, m.instruction});
    if (found == spans.end()) continue;
    const Span& s = *found->second;
    const Routine& routine =
        program.routines[program.rankClasses[s.rankClass].calls[s.call].routine];
    const Instruction& in = routine.instructions[s.instruction];
    m.name = instructionText(context.model.graph, routine, in);
    if (in.kind == Instruction::Kind::compute) m.name += fmt::format(" {}", phaseText(routine, in));
    m.predicted = s.end - s.start;
    m.predictedStart = s.start;
    m.provenance = provenanceOf(context, simulated, s);
  }
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
  run.profilingOverhead = overheadOf(measured, run.step.median);
  record.instructions = recordOf(program, measured.ranks).instructions;
  addPredictions(chosen, record.instructions);
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

PredictedStep predictedStep(const RunMeasurement& run) {
  const double time = run.predictedStep.value;
  const double apart = kInterval * run.predictedUncertainty * time;
  return {run.predictedStep, nonNegative(time - apart), Seconds(time + apart)};
}

std::string predictionLine(const RunMeasurement& run) {
  const PredictedStep predicted = predictedStep(run);
  const double error = predicted.time / run.step.median - 1;
  return fmt::format("predicted {} ({} to {}, {}), measured {}: {} too {}",
                     secondsText(predicted.time), secondsText(predicted.low),
                     secondsText(predicted.high), run.provenance, secondsText(run.step.median),
                     percentText(std::abs(error)), error < 0 ? "short" : "long");
}

}  // namespace meshplan
