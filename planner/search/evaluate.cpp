// SPDX-License-Identifier: Apache-2.0
#include "planner/search/evaluate.h"

#include <fmt/format.h>

#include <algorithm>

#include "planner/local_operator.h"
#include "planner/lowering.h"

namespace meshplan {
namespace {

double gib(Bytes b) {
  return static_cast<double>(b.value) / static_cast<double>(kGiB);
}

size_t busiestStage(const Timeline& timeline) {
  const auto busy = [](const RankClassSummary& s) { return s.time.compute + s.time.optimizer; };
  const auto& all = timeline.rankClasses;
  return static_cast<size_t>(
      std::max_element(all.begin(), all.end(),
                       [&](const auto& a, const auto& b) { return busy(a) < busy(b); }) -
      all.begin());
}

std::string ownerOf(const TrainingModel& model, const Program& program, size_t stage,
                    const RankClassSummary& summary) {
  const RankClass& rankClass = program.rankClasses[stage];
  if (summary.peakCall >= rankClass.calls.size()) return "weights and state";
  const Routine& routine = program.routines[rankClass.calls[summary.peakCall].routine];
  const Instruction& i = routine.instructions[summary.peakInstruction];
  if (i.kind != Instruction::Kind::compute)
    return std::string(i.kind == Instruction::Kind::collective ? collectiveName(i.collective)
                                                               : "send-receive");
  static constexpr const char* kPhases[] = {"forward", "backward", "backward", "update"};
  const Operator& op = model.graph.op(i.op);
  return fmt::format("{} of {}", kPhases[static_cast<size_t>(op.phase)], op.name);
}

Rejection tooLarge(Bytes needed, Bytes limit, size_t stage, const std::string& owner) {
  return {Rejection::Reason::memory,
          fmt::format("stage {} needs {:.1f} GiB at {}, {:.1f} GiB are allowed", stage, gib(needed),
                      owner, gib(limit)),
          static_cast<double>(needed.value), static_cast<double>(limit.value)};
}

}  // namespace

PlanContext::PlanContext(const TrainingModel& m, const Cluster& c, const CostModel& k, Bytes limit)
    : model(m), cluster(c), cost(k), memoryLimit(limit), flopsPerSample(modelFlopsPerSample(m)) {}

bool usesSequenceParallel(const TrainingModel& model, const Plan& plan) {
  if (plan.mesh.tensor == 1) return false;
  for (size_t i = 0; i < model.forwardOps; ++i) {
    const Operator& op = model.graph.op(OpId(i));
    const bool residualStream = std::any_of(op.outputs.begin(), op.outputs.end(), [&](TensorId t) {
      return model.chain.trunk[t.index()] && model.graph.tensor(t).sequenceDim >= 0;
    });
    const int8_t choice = plan.strategies[i].tensor;
    if (residualStream && choice >= 0 &&
        choice == scaleForward(model, OpId(i), model.referenceBatch).sequenceAxis)
      return true;
  }
  return false;
}

Simulated simulatePlan(const PlanContext& context, const Plan& plan,
                       const SimulationOptions& options) {
  Simulated result;
  const DeviceSpec& device = context.cluster.specs().front();
  result.program = lower(context.model, plan, reserveOf(device, plan.mesh));
  result.times = costProgram(result.program, context.cluster, context.cost);
  result.timeline = simulate(result.program, result.times, options);
  return result;
}

PlanReport evaluatePlan(const PlanContext& context, const Plan& plan) {
  return reportOf(context, plan, simulatePlan(context, plan, {}));
}

PlanReport reportOf(const PlanContext& context, const Plan& plan, const Simulated& simulated) {
  const Timeline& timeline = simulated.timeline;
  PlanReport r;
  r.plan = plan;
  r.sequenceParallel = usesSequenceParallel(context.model, plan);
  r.strategy = strategyText(plan, r.sequenceParallel);
  r.stepTime = timeline.stepTime;
  const double seconds = r.stepTime.value, batch = static_cast<double>(plan.globalBatch);
  const auto devices = static_cast<double>(plan.mesh.ranks());
  const DeviceSpec& device = context.cluster.specs().front();
  r.samplesPerSecond = batch / seconds;
  r.tokensPerSecond = r.samplesPerSecond * static_cast<double>(context.model.tokensPerSample);
  r.tflopsPerDevice = context.flopsPerSample.value * batch / seconds / devices / 1e12;
  const auto peak = device.matrixPeak.find(computeDType(plan.training.precision));
  const double peakFlops =
      peak == device.matrixPeak.end() ? device.vectorPeak.value : peak->second.value;
  r.mfu = r.tflopsPerDevice * 1e12 / peakFlops;
  r.slowestStage = busiestStage(timeline);
  r.timeByCategory = timeline.rankClasses[r.slowestStage].time;
  r.peakStage = timeline.peakRankClass();
  const RankClassSummary& fullest = timeline.rankClasses[r.peakStage];
  r.peakMemory = fullest.peak;
  r.memoryByCategory = fullest.peakByCategory;
  r.peakOwner = ownerOf(context.model, simulated.program, r.peakStage, fullest);
  r.evidence = stepEvidence(simulated.program, simulated.times, r.timeByCategory, r.slowestStage);
  r.provenance = r.evidence.provenance();
  r.uncertainty = r.evidence.uncertainty;
  r.dollarsPerStep = context.cluster.pricePerHour * devices /
                     static_cast<double>(context.cluster.deviceCount()) * seconds / 3600;
  r.feasible = r.peakMemory <= context.memoryLimit;
  if (!r.feasible)
    r.rejection = tooLarge(r.peakMemory, context.memoryLimit, r.peakStage, r.peakOwner);
  return r;
}

}  // namespace meshplan
