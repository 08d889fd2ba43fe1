// SPDX-License-Identifier: Apache-2.0
#include "backend/learned_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <tuple>

namespace meshplan {
namespace {

using Interval = StepRecorder::Interval;

// A span counts for n busy ranks when its average is so near to n.
constexpr double kNearlyWhole = 0.1;

/// How many ranks were busy, over time: one step of all ranks.
class BusyRanks {
 public:
  BusyRanks(const std::vector<RankSteps>& busy, size_t step) {
    std::vector<std::pair<double, int>> changes;
    for (const RankSteps& rank : busy)
      for (const Interval& i : rank.steps[step]) {
        changes.emplace_back(i.start, 1);
        changes.emplace_back(i.end, -1);
      }
    std::sort(changes.begin(), changes.end());
    int now = 0;
    double area = 0, before = changes.empty() ? 0 : changes.front().first;
    for (const auto& [time, change] : changes) {
      area += now * (time - before);
      now += change;
      before = time;
      times_.push_back(time);
      areas_.push_back(area);
      counts_.push_back(now);
    }
  }

  double average(const Interval& span) const {
    return (areaUntil(span.end) - areaUntil(span.start)) / (span.end - span.start);
  }

 private:
  double areaUntil(double time) const {
    const auto after = std::upper_bound(times_.begin(), times_.end(), time);
    if (after == times_.begin()) return 0;
    const size_t i = size_t(after - times_.begin()) - 1;
    return areas_[i] + counts_[i] * (time - times_[i]);
  }

  std::vector<double> times_, areas_;
  std::vector<int> counts_;
};

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

/// A step is a sum: what its parts take on average adds up, medians of skewed times do not.
double meanWithoutOutliers(const std::vector<double>& values) {
  const Samples s = summarise(values);
  const double most = s.median.value + kOutlierSpreads * s.spread.value;
  std::vector<double> kept;
  for (double v : values)
    if (s.spread.value <= 0 || v <= most) kept.push_back(v);
  return mean(kept);
}

/// Samples of instructions with equal work.
struct Pooled {
  std::vector<double> means, samples;
  uint32_t routine = 0, instruction = 0;  // an example

  void add(const std::vector<double>& of) {
    means.push_back(meanWithoutOutliers(of));
    samples.insert(samples.end(), of.begin(), of.end());
  }
  Samples summary() const {
    Samples s = summarise(samples);
    s.median = Seconds(mean(means));
    return s;
  }
};

class Learner {
 public:
  Learner(const Program& program, const std::vector<RankSteps>& ranks,
          const RunConditions& conditions)
      : program_(program),
        conditions_(conditions),
        busy_(withoutWaiting(program, ranks)),
        atOnce_(std::max(1, conditions.cores / conditions.threads)),
        crowded_(static_cast<int>(ranks.size()) > atOnce_) {
    for (size_t s = 0; s < steps(); ++s) busyRanks_.emplace_back(busy_, s);
  }

  LearnedRows learn() {
    for (const RankSteps& rank : busy_) visit(rank);
    return {operatorRows(), collectiveRows()};
  }

 private:
  size_t steps() const { return busy_.empty() ? 0 : busy_.front().steps.size(); }

  void visit(const RankSteps& rank) {
    const auto stage = static_cast<size_t>(program_.mesh.coordinates(rank.rank).back());
    size_t index = 0;
    for (const Call& call : program_.rankClasses[stage].calls) {
      const Routine& routine = program_.routines[call.routine];
      for (uint32_t i = 0; i < routine.instructions.size(); ++i, ++index) {
        const Instruction& in = routine.instructions[i];
        if (in.kind == Instruction::Kind::compute)
          addOperator(rank, index, call.routine, i);
        else if (in.participants == 0)
          addCollective(rank, index, in);
      }
    }
  }

  void addOperator(const RankSteps& rank, size_t index, uint32_t routine, uint32_t instruction) {
    std::map<int, std::vector<double>> samples;  // by busy ranks
    for (size_t s = 0; s < steps(); ++s) {
      const Interval& span = rank.steps[s][index];
      if (!(span.end > span.start)) continue;
      const double together = conditions_.ownDevices ? 1 : busyRanks_[s].average(span);
      const int whole = static_cast<int>(std::lround(together));
      if (crowded_ && together >= atOnce_ - kNearlyWhole && span.processor > 0)
        samples[atOnce_].push_back(span.processor);
      else if (!crowded_ && std::abs(together - whole) <= kNearlyWhole)
        samples[whole].push_back(span.end - span.start);
    }
    const Instruction& in = program_.routines[routine].instructions[instruction];
    for (const auto& [together, seconds] : samples) {
      Pooled& pooled = operators_[{workKey(program_.work[in.work]), together}];
      pooled.routine = routine, pooled.instruction = instruction;
      pooled.add(seconds);
    }
  }

  void addCollective(const RankSteps& rank, size_t index, const Instruction& in) {
    const GroupShape group = groupShape(program_, in);
    if (group.ranks < 2) return;
    std::vector<double> seconds;
    for (size_t s = 0; s < steps(); ++s)
      seconds.push_back(rank.steps[s][index].end - rank.steps[s][index].start);
    Transfer& t = collectives_[{group.kind, in.bytes.value, group.ranks, group.groups}];
    (in.kind == Instruction::Kind::receive ? t.received : t.made).add(seconds);
  }

  std::vector<OperatorMeasurement> operatorRows() const {
    std::vector<OperatorMeasurement> rows;
    for (const auto& [key, pooled] : operators_) {
      const Routine& routine = program_.routines[pooled.routine];
      OperatorMeasurement row{conditions_.environment,
                              conditions_.source,
                              program_.work[routine.instructions[pooled.instruction].work],
                              typesText(routine.bindings[pooled.instruction]),
                              key.second,
                              pooled.summary()};
      rows.push_back(std::move(row));
    }
    return rows;
  }

  std::vector<CollectiveMeasurement> collectiveRows() const {
    std::vector<CollectiveMeasurement> rows;
    for (const auto& [key, transfer] : collectives_) {
      CollectiveMeasurement row;
      row.environment = conditions_.environment;
      row.source = conditions_.source;
      row.transport = conditions_.transport;
      std::tie(row.kind, row.bytes.value, row.ranks, row.groups) = key;
      if (transfer.made.samples.empty()) continue;
      row.samples = transfer.made.summary();
      if (!transfer.received.samples.empty()) row.samples = both(row.samples, transfer.received);
      rows.push_back(row);
    }
    return rows;
  }

  /// A transfer takes what the sender and then the receiver are busy with it.
  static Samples both(Samples sent, const Pooled& received) {
    const Samples r = received.summary();
    sent.median += r.median;
    sent.minimum += r.minimum;
    sent.spread = Seconds(std::hypot(sent.spread.value, r.spread.value));
    return sent;
  }

  struct Transfer {
    Pooled made, received;
  };

  const Program& program_;
  const RunConditions& conditions_;
  const std::vector<RankSteps> busy_;
  const int atOnce_;  // ranks that the cores can run
  const bool crowded_;
  std::vector<BusyRanks> busyRanks_;                      // by step
  std::map<std::pair<uint64_t, int>, Pooled> operators_;  // by work and busy ranks
  std::map<std::tuple<CollectiveKind, int64_t, int64_t, int64_t>, Transfer> collectives_;
};

std::string typeText(const TensorType& type) {
  return fmt::format("{}[{}]", dtypeName(type.dtype), fmt::join(type.shape, ","));
}

std::string typesText(const std::vector<Operand>& operands) {
  std::vector<std::string> texts;
  for (const Operand& o : operands) texts.push_back(typeText(o.type));
  return fmt::format("{}", fmt::join(texts, " "));
}

}  // namespace

std::string typesText(const Binding& binding) {
  return typesText(binding.inputs) + " -> " + typesText(binding.outputs);
}

LearnedRows learnedRows(const Program& program, const std::vector<RankSteps>& ranks,
                        const RunConditions& conditions) {
  return Learner(program, ranks, conditions).learn();
}

}  // namespace meshplan
