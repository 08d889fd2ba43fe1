// SPDX-License-Identifier: Apache-2.0
#include "app/run_prediction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "app/human.h"
#include "core/instruction_names.h"

namespace meshplan {
namespace {

constexpr double kInterval = 2;  // standard deviations

Seconds nonNegative(double seconds) {
  return Seconds(std::max(0.0, seconds));
}

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

}  // namespace

void addPredictions(const PlanContext& context, const Plan& plan,
                    std::vector<InstructionMeasurement>& rows) {
  const Simulated simulated =
      simulatePlan(context, plan, {.recordSpans = true, .recordMemory = false});
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
