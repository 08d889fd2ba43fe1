// SPDX-License-Identifier: Apache-2.0
#include "planner/search/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "planner/local_operator.h"
#include "planner/lowering.h"

namespace meshplan {
namespace {

// Relative standard deviations: of what a step waits for collectives and for the host, and of every
// step, whatever it does (software and machines differ). From the residuals of whole steps,
// docs/cost_model.md, "Intervals".
constexpr double kCommunicationUncertainty = 0.4, kHostUncertainty = 0.25, kStepUncertainty = 0.07;

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

/// Standard deviation of a step on one rank class, in seconds over the sum: operators of one class
/// err alike, classes and collectives independently of each other.
double uncertaintyOf(const PlanContext& context, const Simulated& simulated, size_t rankClass) {
  constexpr size_t kClasses = static_cast<size_t>(OpClass::opaque) + 1;
  const Program& program = simulated.program;
  std::vector<Estimate> work;
  for (const OperatorWork& w : program.work) work.push_back(context.cost.operatorTime(w));
  std::vector<double> calls(program.routines.size());
  for (const Call& call : program.rankClasses[rankClass].calls) calls[call.routine] += 1;
  std::array<double, kClasses> errors{};
  double time = 0;
  for (size_t r = 0; r < calls.size(); ++r)
    for (const Instruction& i : program.routines[r].instructions) {
      if (i.kind != Instruction::Kind::compute || calls[r] == 0) continue;
      const double seconds = calls[r] * work[i.work].time.value;
      time += seconds;
      errors[static_cast<size_t>(program.work[i.work].def->opClass)] +=
          seconds * work[i.work].uncertainty;
    }
  const double communication =
      simulated.timeline.rankClasses[rankClass].time.exposedCommunication.value;
  const double host = simulated.timeline.rankClasses[rankClass].time.host.value;
  double square =
      std::pow(communication * kCommunicationUncertainty, 2) + std::pow(host * kHostUncertainty, 2);
  for (double e : errors) square += e * e;
  const double sum = time + communication + host;
  return sum > 0 ? std::sqrt(square + std::pow(kStepUncertainty * sum, 2)) / sum : 0;
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
  result.timeline =
      simulate(result.program, costProgram(result.program, context.cluster, context.cost), options);
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
  r.uncertainty = uncertaintyOf(context, simulated, r.slowestStage);
  r.dollarsPerStep = context.cluster.pricePerHour * devices /
                     static_cast<double>(context.cluster.deviceCount()) * seconds / 3600;
  r.feasible = r.peakMemory <= context.memoryLimit;
  if (!r.feasible)
    r.rejection = tooLarge(r.peakMemory, context.memoryLimit, r.peakStage, r.peakOwner);
  return r;
}

}  // namespace meshplan
