// SPDX-License-Identifier: Apache-2.0
#include "core/timeline_diff.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "core/error.h"
#include "core/instruction_names.h"

namespace meshplan {
namespace {

using Kind = Instruction::Kind;

struct Side {
  const Timeline& timeline;
  Seconds Compared::*time;
};

const Routine& routineOf(const Program& program, uint16_t rankClass, uint32_t call) {
  return program.routines[program.rankClasses[rankClass].calls[call].routine];
}

void checkSpan(const Program& program, const Span& s) {
  const bool known = s.rankClass < program.rankClasses.size() &&
                     s.call < program.rankClasses[s.rankClass].calls.size() &&
                     s.instruction < routineOf(program, s.rankClass, s.call).instructions.size();
  if (!known)
    throw Error(ErrorKind::usage,
                fmt::format("instruction {} of call {} on stage {} is not in the program",
                            s.instruction, s.call, s.rankClass),
                "compare timelines of one program");
}

/// Falling |difference|, with shares.
template <class Row, class TimeOf>
void sortByDifference(std::vector<Row>& rows, TimeOf timeOf) {
  double total = 0;
  for (const Row& r : rows) total += std::abs(timeOf(r).difference().value);
  for (Row& r : rows) r.share = total > 0 ? std::abs(timeOf(r).difference().value) / total : 0;
  std::stable_sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) {
    return std::abs(timeOf(a).difference().value) > std::abs(timeOf(b).difference().value);
  });
}

std::vector<ComparedInstruction> align(const Program& program, const Timeline& predicted,
                                       const Timeline& measured) {
  std::map<std::tuple<uint16_t, uint32_t, uint32_t>, ComparedInstruction> rows;
  for (const auto& [timeline, side, present] :
       {std::tuple(&predicted, &Compared::predicted, &ComparedInstruction::predicted),
        std::tuple(&measured, &Compared::measured, &ComparedInstruction::measured)})
    for (const Span& s : timeline->spans) {
      checkSpan(program, s);
      ComparedInstruction& row = rows[{s.rankClass, s.call, s.instruction}];
      std::tie(row.rankClass, row.call, row.instruction) =
          std::tie(s.rankClass, s.call, s.instruction);
      row.*present = true;
      row.start.*side = s.start;
      row.time.*side = s.end - s.start;
    }
  std::vector<ComparedInstruction> out;
  for (const auto& [key, row] : rows) out.push_back(row);
  return out;
}

std::string typeOf(const Graph& graph, OpId op) {
  const bool known = op.valid() && op.index() < graph.operatorCount() && graph.op(op).def;
  return known ? std::string(graph.op(op).def->name) : "";
}

class Grouping {
 public:
  Grouping(const Program& program, const Graph& graph) : program_(program), graph_(graph) {}

  void add(const ComparedInstruction& row) {
    const Routine& routine = routineOf(program_, row.rankClass, row.call);
    const Instruction& in = routine.instructions[row.instruction];
    if (in.kind == Kind::compute)
      addOperator(routine, in, row.time);
    else
      addCollective(in, row.time);
  }

  std::vector<ComparedOperator> operators;
  std::vector<ComparedCollective> collectives;

 private:
  using CollectiveKey = std::tuple<Kind, CollectiveKind, MeshAxes, int64_t>;

  void addOperator(const Routine& routine, const Instruction& in, const Compared& time) {
    const std::string phase = comparedPhase(graph_, routine, in);
    const auto [at, isNew] = operatorRows_.try_emplace({in.op, phase}, operators.size());
    if (isNew)
      operators.push_back(
          {in.op, instructionText(graph_, routine, in), typeOf(graph_, in.op), phase, 0, {}, 0});
    ++operators[at->second].calls;
    operators[at->second].time += time;
  }

  void addCollective(const Instruction& in, const Compared& time) {
    const bool transfer = in.kind != Kind::collective;
    const CollectiveKind kind = transfer ? CollectiveKind::sendReceive : in.collective;
    const MeshAxes axes = transfer ? MeshAxes(MeshAxis::pipeline) : in.axes;
    const auto [at, isNew] =
        collectiveRows_.try_emplace({in.kind, kind, axes, in.bytes.value}, collectives.size());
    if (isNew) collectives.push_back({in.kind, kind, axes, in.bytes, 0, {}, 0});
    ++collectives[at->second].calls;
    collectives[at->second].time += time;
  }

  const Program& program_;
  const Graph& graph_;
  std::map<std::pair<OpId, std::string>, size_t> operatorRows_;
  std::map<CollectiveKey, size_t> collectiveRows_;
};

ComparedStage stageOf(const Program& program, uint16_t c, const Timeline& predicted,
                      const Timeline& measured) {
  ComparedStage stage;
  stage.rankClass = c;
  const TimeByCategory p = timeByCategory(program, predicted, c);
  const TimeByCategory m = timeByCategory(program, measured, c);
  stage.compute = {p.compute, m.compute};
  stage.optimizer = {p.optimizer, m.optimizer};
  stage.exposedCommunication = {p.exposedCommunication, m.exposedCommunication};
  stage.bubble = {p.bubble, m.bubble};
  stage.recompute = {p.recompute, m.recompute};
  stage.communication = {p.communication, m.communication};
  for (const Compared& part : {stage.compute, stage.optimizer, stage.exposedCommunication})
    stage.busy += part;
  return stage;
}

Bytes bytesAtPeak(const Timeline& timeline, size_t rankClass, size_t category) {
  return rankClass < timeline.rankClasses.size()
             ? timeline.rankClasses[rankClass].peakByCategory[category]
             : Bytes(0);
}

std::vector<ComparedMemory> memoryOf(const Program& program, const Timeline& predicted,
                                     const Timeline& measured) {
  std::vector<ComparedMemory> rows;
  for (uint16_t c = 0; c < program.rankClasses.size(); ++c)
    for (size_t k = 0; k < kMemoryCategories; ++k) {
      const Bytes p = bytesAtPeak(predicted, c, k), m = bytesAtPeak(measured, c, k);
      if (p.value != 0 || m.value != 0) rows.push_back({c, MemoryCategory(k), p, m});
    }
  return rows;
}

using Interval = std::pair<double, double>;

/// The seconds that intervals cover, each second once.
double covered(std::vector<Interval> intervals) {
  std::sort(intervals.begin(), intervals.end());
  double sum = 0, until = -std::numeric_limits<double>::infinity();
  for (const auto& [start, end] : intervals) {
    sum += std::max(0.0, end - std::max(start, until));
    until = std::max(until, end);
  }
  return sum;
}

}  // namespace

double Compared::relativeError() const {
  if (measured.value != 0) return predicted.value / measured.value - 1;
  return predicted.value == 0 ? 0 : std::numeric_limits<double>::infinity();
}

Compared& Compared::operator+=(const Compared& o) {
  predicted += o.predicted;
  measured += o.measured;
  return *this;
}

std::string comparedPhase(const Graph& graph, const Routine& routine, const Instruction& in) {
  const bool known = in.op.valid() && in.op.index() < graph.operatorCount();
  if (known && !in.recomputed && graph.op(in.op).phase == Phase::backwardWeight)
    return "backward weight";
  return std::string(phaseText(routine, in));
}

TimelineDiff diffTimelines(const Program& program, const Graph& graph, const Timeline& predicted,
                           const Timeline& measured) {
  TimelineDiff diff;
  diff.step = {predicted.stepTime, measured.stepTime};
  diff.byInstruction = align(program, predicted, measured);
  Grouping grouping(program, graph);
  for (const ComparedInstruction& row : diff.byInstruction) {
    diff.instructions += row.time;
    grouping.add(row);
  }
  diff.byOperator = std::move(grouping.operators);
  diff.byCollective = std::move(grouping.collectives);
  for (uint16_t c = 0; c < program.rankClasses.size(); ++c)
    diff.byStage.push_back(stageOf(program, c, predicted, measured));
  diff.byMemory = memoryOf(program, predicted, measured);
  const auto timeOf = [](const auto& row) { return row.time; };
  sortByDifference(diff.byInstruction, timeOf);
  sortByDifference(diff.byOperator, timeOf);
  sortByDifference(diff.byCollective, timeOf);
  sortByDifference(diff.byStage, [](const ComparedStage& s) { return s.busy; });
  return diff;
}

TimeByCategory timeByCategory(const Program& program, const Timeline& timeline, size_t rankClass) {
  TimeByCategory t;
  std::vector<Interval> computing, communicating;
  for (const Span& s : timeline.spans) {
    if (s.rankClass != rankClass) continue;
    const Routine& routine = routineOf(program, s.rankClass, s.call);
    const Instruction& in = routine.instructions[s.instruction];
    const Seconds length = s.end - s.start;
    (in.kind == Kind::compute ? computing : communicating).emplace_back(s.start.value, s.end.value);
    if (in.kind != Kind::compute) continue;
    (routine.kind == Routine::Kind::update ? t.optimizer : t.compute) += length;
    if (in.recomputed) t.recompute += length;
  }
  const double compute = covered(computing);
  t.communication = Seconds(covered(communicating));
  computing.insert(computing.end(), communicating.begin(), communicating.end());
  t.exposedCommunication = Seconds(covered(std::move(computing)) - compute);
  t.bubble = std::max(Seconds(0), timeline.stepTime - t.total());
  return t;
}

}  // namespace meshplan
