// SPDX-License-Identifier: Apache-2.0
#include "gui/models/step_difference.h"

#include <QCoreApplication>
#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "core/instruction_names.h"
#include "gui/models/range_statistics.h"
#include "gui/models/step_sweep.h"

namespace meshplan::gui {
namespace {

using Part = DifferencePart DifferenceRow::*;

std::string tr(const char* text) {
  return QCoreApplication::translate("StepDifference", text).toStdString();
}

// What makes instructions of both steps one row: an operator of the shared model, else a name.
struct Key {
  OpId op;
  std::string name, phase;
  bool operator<(const Key& o) const {
    return std::tie(op, name, phase) < std::tie(o.op, o.name, o.phase);
  }
};

class Rows {
 public:
  explicit Rows(const DifferenceOptions& options, bool byIdentity)
      : options_(options), byIdentity_(byIdentity) {}

  /// By routine and instruction of the step's program.
  std::vector<std::vector<size_t>> of(const ComparedStep& step, bool isFirst) {
    std::vector<std::vector<size_t>> out;
    for (const Routine& routine : step.program->routines) {
      out.emplace_back();
      for (const Instruction& in : routine.instructions) {
        out.back().push_back(rowOf(step, routine, in, isFirst));
      }
    }
    return out;
  }
  /// A row that no instruction is behind.
  DifferenceRow& rest(const std::string& name) {
    DifferenceRow& row = rows_[rowFor({{}, name, {}}, name, SpanKind::bubble)];
    row.first.present = row.second.present = true;
    return row;
  }
  size_t size() const { return rows_.size(); }
  DifferenceRow& operator[](size_t row) { return rows_[row]; }
  std::vector<DifferenceRow> take() { return std::move(rows_); }

 private:
  size_t rowOf(const ComparedStep& step, const Routine& routine, const Instruction& in,
               bool isFirst) {
    const OpId op = operatorOf(*step.graph, in);
    const bool known = op.valid() && op.index() < step.graph->operatorCount();
    std::string name =
        known ? operatorText(*step.graph, op) : instructionText(*step.graph, routine, in);
    if (options_.fold) name = foldedName(name);
    std::string phase = in.kind == Instruction::Kind::compute
                            ? comparedPhase(*step.graph, routine, in)
                            : std::string(phaseText(routine, in));
    const bool byOp = known && byIdentity_ && !options_.fold;
    Key key{byOp ? op : OpId(), byOp ? "" : name, std::move(phase)};
    const size_t row = rowFor(std::move(key), name, spanKindOf(routine, in));
    if (known && op.index() < step.forwardOps && (isFirst || byIdentity_))
      rows_[row].operators.push_back(op);
    return row;
  }
  // The forward operator, else the instruction's own.
  static OpId operatorOf(const Graph& graph, const Instruction& in) {
    if (in.kind != Instruction::Kind::compute) return {};
    if (!in.op.valid() || in.op.index() >= graph.operatorCount()) return in.op;
    const Operator& op = graph.op(in.op);
    return op.phase == Phase::forward || !op.forward.valid() ? in.op : op.forward;
  }
  size_t rowFor(Key key, const std::string& name, SpanKind kind) {
    const std::string phase = key.phase;
    const auto [at, isNew] = index_.try_emplace(std::move(key), rows_.size());
    if (isNew) {
      rows_.emplace_back();
      rows_.back().name = name;
      rows_.back().phase = phase;
      rows_.back().kind = kind;
    }
    return at->second;
  }

  const DifferenceOptions& options_;
  const bool byIdentity_;
  std::vector<DifferenceRow> rows_;
  std::map<Key, size_t> index_;
};

// Of one rank class, by row.
struct Sums {
  explicit Sums(size_t rows) : time(rows), whole(rows), runs(rows), evidence(rows) {}

  std::vector<double> time, whole;
  std::vector<int64_t> runs;
  std::vector<EvidenceSum> evidence;
  double idle = 0, beyond = 0, hidden = 0;
};

class Side {
 public:
  Side(const ComparedStep& step, Part part, Rows& rows, bool isFirst)
      : step_(step),
        part_(part),
        rows_(rows),
        rowOf_(rows.of(step, isFirst)),
        evidence_(step.evidence()) {}

  /// Once all rows are there. Gives the ranks that are looked at.
  int64_t sum(bool slowestOnly, StepParts& parts) {
    const auto spans = spansByRankClass(*step_.program, *step_.timeline);
    std::vector<size_t> classes(spans.size());
    for (size_t c = 0; c < classes.size(); ++c) classes[c] = c;
    if (slowestOnly) classes = {step_.slowestStage()};
    int64_t ranks = 0;
    for (size_t c : classes) ranks += step_.program->rankClasses[c].ranks;
    for (size_t c : classes) add(c, sumsOf(c, spans[c]), double(ranks), parts);
    parts.step = step_.timeline->stepTime;
    for (size_t r = 0; r < rows_.size(); ++r)
      if (DifferencePart& p = rows_[r].*part_; p.ranks > 0) p.onRunners *= 1 / double(p.ranks);
    return ranks;
  }

 private:
  uint32_t routineOf(const Span& s) const {
    return step_.program->rankClasses[s.rankClass].calls[s.call].routine;
  }
  size_t rowOf(const Span& s) const { return rowOf_[routineOf(s)][s.instruction]; }

  Sums sumsOf(size_t rankClass, const std::vector<const Span*>& spans) const {
    Sums out(rows_.size());
    const double end = step_.timeline->stepTime.value;
    sweepStep(spans, end, [&](const Stretch& now) {
      if (now.computing) {
        out.time[rowOf(*now.computing)] += now.length();
        if (!now.communicating.empty()) out.hidden += now.length();
      } else if (now.communicating.empty()) {
        out.idle += now.length();
      }
      for (const Span* s : now.communicating)
        if (!now.computing) out.time[rowOf(*s)] += now.length() / double(now.communicating.size());
      out.beyond = std::min(0.0, end - now.end);
    });
    for (const Span* s : spans) {
      const size_t row = rowOf(*s);
      const double length = (s->end - s->start).value;
      ++out.runs[row];
      out.whole[row] += length;
      out.evidence[row].add(length * double(step_.program->rankClasses[rankClass].ranks),
                            evidence_.of(routineOf(*s), s->instruction));
    }
    return out;
  }

  void add(size_t rankClass, const Sums& sums, double allRanks, StepParts& parts) {
    const int64_t ranks = step_.program->rankClasses[rankClass].ranks;
    const double weight = double(ranks) / allRanks;
    for (size_t r = 0; r < rows_.size(); ++r) {
      if (sums.runs[r] == 0) continue;
      DifferencePart& p = rows_[r].*part_;
      p.time += Seconds(weight * sums.time[r]);
      p.hidden += Seconds(weight * (sums.whole[r] - sums.time[r]));
      p.onRunners += Seconds(double(ranks) * sums.whole[r]);
      p.runs += sums.runs[r];
      p.ranks += ranks;
      p.present = true;
      p.evidence += sums.evidence[r];
      categoryOf(rows_[r].kind, parts) += Seconds(weight * sums.time[r]);
    }
    parts.idle += Seconds(weight * sums.idle);
    parts.beyond += Seconds(weight * sums.beyond);
    parts.hidden += Seconds(weight * sums.hidden);
  }

  static Seconds& categoryOf(SpanKind kind, StepParts& parts) {
    if (kind == SpanKind::update) return parts.optimizer;
    return kind == SpanKind::collective || kind == SpanKind::transfer ? parts.exposed
                                                                      : parts.compute;
  }

  const ComparedStep& step_;
  Part part_;
  Rows& rows_;
  std::vector<std::vector<size_t>> rowOf_;
  EvidenceTable evidence_;
};

void addRest(Rows& rows, const std::string& name, const StepParts& first, const StepParts& second,
             Seconds StepParts::*part) {
  DifferenceRow& row = rows.rest(name);
  row.first.time = first.*part;
  row.second.time = second.*part;
}

void finish(std::vector<DifferenceRow>& rows) {
  std::erase_if(rows, [](const DifferenceRow& r) { return !r.first.present && !r.second.present; });
  double sum = 0;
  for (const DifferenceRow& row : rows) sum += std::abs(row.difference().value);
  for (DifferenceRow& row : rows) {
    row.share = sum > 0 ? std::abs(row.difference().value) / sum : 0;
    std::sort(row.operators.begin(), row.operators.end());
    row.operators.erase(std::unique(row.operators.begin(), row.operators.end()),
                        row.operators.end());
  }
  std::stable_sort(rows.begin(), rows.end(), [](const DifferenceRow& a, const DifferenceRow& b) {
    return std::abs(a.difference().value) > std::abs(b.difference().value);
  });
}

}  // namespace

StepDifference differenceOf(const ComparedStep& first, const ComparedStep& second,
                            const DifferenceOptions& options) {
  StepDifference out;
  out.byIdentity = sameModel(first, second);
  Rows rows(options, out.byIdentity);
  Side a(first, &DifferenceRow::first, rows, true), b(second, &DifferenceRow::second, rows, false);
  out.firstRanks = a.sum(options.slowestOnly, out.first);
  out.secondRanks = b.sum(options.slowestOnly, out.second);
  addRest(rows, tr("idle"), out.first, out.second, &StepParts::idle);
  if (out.first.beyond.value < 0 || out.second.beyond.value < 0)
    addRest(rows, tr("beyond the end of the step"), out.first, out.second, &StepParts::beyond);
  out.rows = rows.take();
  finish(out.rows);
  return out;
}

}  // namespace meshplan::gui
