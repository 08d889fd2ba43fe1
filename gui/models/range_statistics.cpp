// SPDX-License-Identifier: Apache-2.0
#include "gui/models/range_statistics.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "core/instruction_names.h"
#include "gui/models/timeline_tracks.h"

namespace meshplan::gui {
namespace {

// The union of intervals that come by start time.
class Cover {
 public:
  void add(double begin, double end) {
    if (end <= begin) return;
    if (!parts_.empty() && begin <= parts_.back().second)
      parts_.back().second = std::max(parts_.back().second, end);
    else
      parts_.push_back({begin, end});
  }
  double length() const {
    double sum = 0;
    for (const auto& [begin, end] : parts_) sum += end - begin;
    return sum;
  }
  double lengthOutside(const Cover& other) const {
    double inside = 0;
    auto o = other.parts_.begin();
    for (const auto& [begin, end] : parts_) {
      while (o != other.parts_.end() && o->second <= begin) ++o;
      for (auto p = o; p != other.parts_.end() && p->first < end; ++p)
        inside += std::min(end, p->second) - std::max(begin, p->first);
    }
    return length() - inside;
  }

 private:
  std::vector<std::pair<double, double>> parts_;
};

// The row of each instruction.
class Rows {
 public:
  Rows(const Program& program, const Graph& graph, bool fold) : graph_(graph), fold_(fold) {
    for (const Routine& routine : program.routines) {
      rowOf_.emplace_back();
      for (const Instruction& in : routine.instructions)
        rowOf_.back().push_back(rowFor(routine, in));
    }
    for (RangeRow& row : rows_) {
      std::sort(row.operators.begin(), row.operators.end());
      row.operators.erase(std::unique(row.operators.begin(), row.operators.end()),
                          row.operators.end());
    }
  }

  size_t of(uint32_t routine, uint32_t instruction) const { return rowOf_[routine][instruction]; }
  std::vector<RangeRow>& all() { return rows_; }

 private:
  size_t rowFor(const Routine& routine, const Instruction& in) {
    std::string name = instructionText(graph_, routine, in);
    if (fold_ && in.kind == Instruction::Kind::compute) name = foldedName(name);
    std::string phase(phaseText(routine, in));
    const auto [found, isNew] = index_.try_emplace({name, phase}, rows_.size());
    if (isNew) {
      rows_.emplace_back();
      rows_.back().kind = spanKindOf(routine, in);
      rows_.back().name = std::move(name);
      rows_.back().phase = std::move(phase);
    }
    addOperator(rows_[found->second], in);
    return found->second;
  }

  void addOperator(RangeRow& row, const Instruction& in) const {
    if (in.kind != Instruction::Kind::compute || !in.op.valid() ||
        in.op.index() >= graph_.operatorCount())
      return;
    const Operator& op = graph_.op(in.op);
    const OpId forward = op.phase == Phase::forward ? in.op : op.forward;
    if (forward.valid()) row.operators.push_back(forward);
  }

  const Graph& graph_;
  bool fold_;
  std::vector<std::vector<size_t>> rowOf_;
  std::vector<RangeRow> rows_;
  std::map<std::pair<std::string, std::string>, size_t> index_;
};

struct ClassSums {
  Cover compute, communication;
  double optimizer = 0;
  std::vector<double> byRow, predictedByRow;
};

void addSpan(ClassSums& sums, const Span& s, double begin, double end, RangeRow& row,
             size_t index) {
  sums.byRow[index] += end - begin;
  ++row.runs;
  (s.stream == Stream::compute ? sums.compute : sums.communication).add(begin, end);
  if (row.kind == SpanKind::update) sums.optimizer += end - begin;
}

void addShares(RangeStatistics& out, const ClassSums& sums, double weight, double length) {
  const double busy = sums.compute.length();
  const double exposed = sums.communication.lengthOutside(sums.compute);
  out.compute += Seconds(weight * (busy - sums.optimizer));
  out.optimizer += Seconds(weight * sums.optimizer);
  out.exposed += Seconds(weight * exposed);
  out.idle += Seconds(weight * std::max(0.0, length - busy - exposed));
  out.communication += Seconds(weight * sums.communication.length());
}

void addTimes(RangeStatistics& out, std::vector<RangeRow> rows, const Program& program,
              const std::vector<ClassSums>& sums) {
  const double length = (out.range.end - out.range.begin).value;
  for (size_t r = 0; r < rows.size(); ++r) {
    double time = 0, predicted = 0, ranks = 0;
    for (size_t c = 0; c < sums.size(); ++c) {
      if (sums[c].byRow.empty() || sums[c].byRow[r] <= 0) continue;
      const auto weight = double(program.rankClasses[c].ranks);
      time += weight * sums[c].byRow[r];
      if (rows[r].predicted) predicted += weight * sums[c].predictedByRow[r];
      ranks += weight;
    }
    if (ranks <= 0) continue;
    rows[r].time = Seconds(time / ranks);
    if (rows[r].predicted) rows[r].predicted = Seconds(predicted / ranks);
    rows[r].share = length > 0 ? time / ranks / length : 0;
    out.rows.push_back(std::move(rows[r]));
  }
  std::stable_sort(out.rows.begin(), out.rows.end(),
                   [](const RangeRow& a, const RangeRow& b) { return a.time > b.time; });
}

}  // namespace

RangeStatistics statisticsOf(const Program& program, const Graph& graph, const Timeline& timeline,
                             const TimeRange& range, const std::vector<size_t>& rankClasses,
                             bool fold, const RangePrediction& prediction) {
  RangeStatistics out;
  out.range = range;
  Rows rows(program, graph, fold);
  std::vector<ClassSums> sums(program.rankClasses.size());
  std::optional<InstructionSpans> twins;
  if (prediction.predicted) twins.emplace(program, *prediction.predicted);
  for (size_t c = 0; c < sums.size(); ++c) {
    if (!rankClasses.empty() && !std::binary_search(rankClasses.begin(), rankClasses.end(), c))
      continue;
    sums[c].byRow.resize(rows.all().size());
    sums[c].predictedByRow.resize(rows.all().size());
    out.ranks += program.rankClasses[c].ranks;
  }
  for (const Span& s : timeline.spans) {
    const double begin = std::max(s.start, range.begin).value;
    const double end = std::min(s.end, range.end).value;
    if (begin >= end || sums[s.rankClass].byRow.empty()) continue;
    const uint32_t routine = program.rankClasses[s.rankClass].calls[s.call].routine;
    const size_t row = rows.of(routine, s.instruction);
    addSpan(sums[s.rankClass], s, begin, end, rows.all()[row], row);
    if (prediction.evidence)
      rows.all()[row].evidence.add(end - begin, prediction.evidence->of(routine, s.instruction));
    if (!twins || twins->of(s) < 0) continue;
    rows.all()[row].predicted = Seconds(0);
    sums[s.rankClass].predictedByRow[row] +=
        (end - begin) / (s.end - s.start).value * double(twins->of(s));
  }
  for (size_t c = 0; c < sums.size(); ++c)
    if (!sums[c].byRow.empty())
      addShares(out, sums[c], double(program.rankClasses[c].ranks) / double(out.ranks),
                (range.end - range.begin).value);
  addTimes(out, std::move(rows.all()), program, sums);
  return out;
}

std::string foldedName(const std::string& name) {
  const auto isWord = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  const auto isDigit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  std::string out;
  for (size_t i = 0, next = 0; i < name.size(); i = next) {
    for (next = i + 1; isWord(name[i]) && next < name.size() && isWord(name[next]);) ++next;
    const std::string word = name.substr(i, next - i);
    out += std::all_of(word.begin(), word.end(), isDigit) ? "*" : word;
  }
  return out;
}

}  // namespace meshplan::gui
