// SPDX-License-Identifier: Apache-2.0
#include "app/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <tuple>

#include "app/run_prediction.h"
#include "core/cluster_json.h"
#include "core/error.h"
#include "core/instruction_names.h"
#include "planner/lowering.h"

namespace meshplan {
namespace {

const Instruction& instructionOf(const Program& program, const InstructionMeasurement& m) {
  const Call& call = program.rankClasses[m.rankClass].calls[m.call];
  return program.routines[call.routine].instructions[m.instruction];
}

void checkRows(const Program& program, const RunMeasurement& run,
               const std::vector<InstructionMeasurement>& rows) {
  size_t expected = 0;
  for (const RankClass& c : program.rankClasses)
    for (const Call& call : c.calls) expected += program.routines[call.routine].instructions.size();
  const auto known = [&](const InstructionMeasurement& m) {
    return m.rankClass < program.rankClasses.size() &&
           m.call < program.rankClasses[m.rankClass].calls.size() &&
           m.instruction < program.routines[program.rankClasses[m.rankClass].calls[m.call].routine]
                               .instructions.size();
  };
  if (rows.size() == expected && std::all_of(rows.begin(), rows.end(), known)) return;
  throw Error(ErrorKind::input,
              fmt::format("run {} has {} instructions and its plan {}: another version of Meshplan "
                          "lowers it otherwise",
                          run.id, rows.size(), expected),
              "run it again");
}

void addSpan(Timeline& timeline, const Program& program, const InstructionMeasurement& m,
             Seconds start, Seconds length) {
  const Instruction& in = instructionOf(program, m);
  timeline.spans.push_back(
      {m.rankClass, in.stream, in.kind, m.call, m.instruction, start, start + length});
}

void finish(Timeline& timeline) {
  timeline.events = timeline.spans.size();
  std::sort(timeline.spans.begin(), timeline.spans.end(), [](const Span& a, const Span& b) {
    return std::tie(a.start, a.rankClass, a.stream, a.call, a.instruction) <
           std::tie(b.start, b.rankClass, b.stream, b.call, b.instruction);
  });
}

/// Areas of the arenas: what is resident by category, the slots of saved activations, and the
/// scratch area that all calls share.
void fillArenas(Timeline& timeline, const Program& program) {
  timeline.rankClasses.resize(program.rankClasses.size());
  for (size_t c = 0; c < program.rankClasses.size(); ++c) {
    const RankClass& rankClass = program.rankClasses[c];
    RankClassSummary& summary = timeline.rankClasses[c];
    summary.peak = rankClass.arenaBytes;
    auto& bytes = summary.peakByCategory;
    for (const Buffer& b : rankClass.residents)
      if (b.category != MemoryCategory::reserve) bytes[size_t(b.category)] += b.bytes;
    bytes[size_t(MemoryCategory::workspace)] += rankClass.scratchBytes;
    for (const SlotPool& pool : rankClass.slots)
      bytes[size_t(MemoryCategory::activations)] += pool.slotBytes * int64_t{pool.slots};
  }
}

/// The provenance behind most of the seconds.
using Weights = std::map<std::string, double>;
std::string heaviest(const Weights& weights) {
  const auto most =
      std::max_element(weights.begin(), weights.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == weights.end() ? "" : most->first;
}

void addProvenance(Comparison& c, const std::vector<InstructionMeasurement>& rows) {
  using Key = std::tuple<Instruction::Kind, CollectiveKind, MeshAxes, int64_t>;
  std::map<std::pair<OpId, std::string>, Weights> operators;
  std::map<Key, Weights> collectives;
  const Graph& graph = c.planning->training().graph;
  for (const InstructionMeasurement& m : rows) {
    const Instruction& in = instructionOf(c.program, m);
    const double weight = m.predicted.value + 1e-12;
    if (in.kind == Instruction::Kind::compute) {
      const Call& call = c.program.rankClasses[m.rankClass].calls[m.call];
      operators[{in.op, comparedPhase(graph, c.program.routines[call.routine], in)}]
               [m.provenance] += weight;
    } else {
      const bool transfer = in.kind != Instruction::Kind::collective;
      collectives[{in.kind, transfer ? CollectiveKind::sendReceive : in.collective,
                   transfer ? MeshAxes(MeshAxis::pipeline) : in.axes, in.bytes.value}]
                 [m.provenance] += weight;
    }
  }
  for (const auto& [key, weights] : operators) c.operatorProvenance[key] = heaviest(weights);
  for (const ComparedCollective& row : c.diff.byCollective)
    c.collectiveProvenance.push_back(
        heaviest(collectives[{row.kind, row.collective, row.axes, row.bytes.value}]));
}

std::string canonical(PlanFile file) {
  file.model = {};
  file.clusterJson = "{}";
  file.memoryLimit.reset();
  file.predictedStepTime = {};
  file.predictedPeakMemory = {};
  return planToJson(file);
}

}  // namespace

Comparison compareRun(RunMeasurement run, std::vector<InstructionMeasurement> instructions,
                      bool again, const std::string& profiles, const Tell& tell) {
  Comparison c;
  const std::string place = fmt::format("run {}", run.id);
  const PlanFile file = planFromJson(run.planJson, place);
  c.planning = std::make_unique<Planning>(
      file.model, file.plan.training, clusterFromJson(file.clusterJson, place), file.memoryLimit,
      ProfileUse{again ? profiles : std::string(), run.transport}, tell);
  const PlanContext& context = c.planning->context();
  const Plan plan = planOf(file, *c.planning);
  c.program = lower(c.planning->training(), plan, {}, LoweredFor::execution);
  checkRows(c.program, run, instructions);
  const Simulated simulated =
      simulatePlan(context, plan, {.recordSpans = true, .recordMemory = true});
  if (again) {
    const PlanReport report = reportOf(context, plan, simulated);
    run.predictedStep = report.stepTime;
    run.predictedUncertainty = report.uncertainty;
    run.provenance = provenanceName(report.provenance);
    addPredictions(context, plan, instructions);
  }
  for (const InstructionMeasurement& m : instructions) {
    addSpan(c.predicted, c.program, m, m.predictedStart, m.predicted);
    addSpan(c.measured, c.program, m, m.start + (m.duration - m.busy), m.busy);
  }
  finish(c.predicted);
  finish(c.measured);
  c.predicted.stepTime = run.predictedStep;
  c.measured.stepTime = run.step.median;
  c.predicted.rankClasses = simulated.timeline.rankClasses;
  fillArenas(c.measured, c.program);
  c.again = again;
  c.run = std::move(run);
  c.diff = diffTimelines(c.program, c.planning->training().graph, c.predicted, c.measured);
  addProvenance(c, instructions);
  return c;
}

std::optional<RunMeasurement> findRun(const std::vector<RunMeasurement>& runs,
                                      const std::string& text) {
  int64_t id = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), id);
  const bool isNumber = failed == std::errc() && end == text.data() + text.size();
  if (text != "last" && !isNumber) return std::nullopt;
  if (text == "last" && !runs.empty()) return runs.front();
  const auto found = std::find_if(runs.begin(), runs.end(),
                                  [&](const RunMeasurement& r) { return isNumber && r.id == id; });
  if (found != runs.end()) return *found;
  throw Error(
      ErrorKind::usage,
      runs.empty() ? "the store holds no runs" : fmt::format("there is no run {}", text),
      runs.empty() ? "`meshplan run` stores one" : "`meshplan profiles show` lists the runs");
}

RunMeasurement newestRunOf(const std::vector<RunMeasurement>& runs, const std::string& planFile) {
  const PlanFile wanted = readPlanFile(planFile);
  const std::string text = canonical(wanted);
  for (const RunMeasurement& run : runs)
    if (run.graphFingerprint == wanted.graphFingerprint &&
        canonical(planFromJson(run.planJson, fmt::format("run {}", run.id))) == text)
      return run;
  throw Error(ErrorKind::usage, "no stored run is of this plan",
              fmt::format("`meshplan run {}` makes one, or --steps 20 here", planFile))
      .inFile(planFile);
}

}  // namespace meshplan
