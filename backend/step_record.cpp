// SPDX-License-Identifier: Apache-2.0
#include "backend/step_record.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace meshplan {
namespace {

using Interval = StepRecorder::Interval;

/// Calls f(instruction, its place in a Step) for all that a rank class runs.
template <class F>
void eachInstruction(const Program& program, const RankClass& rankClass, F f) {
  size_t index = 0;
  for (const Call& call : rankClass.calls)
    for (const Instruction& in : program.routines[call.routine].instructions) f(in, index++);
}

const RankClass& classOf(const Program& program, int64_t rank) {
  return program.rankClasses[size_t(program.mesh.coordinates(rank).back())];
}

/// The step of all ranks that is being looked at.
class Waits {
 public:
  Waits(const Program& program, std::vector<RankSteps>& ranks, size_t step)
      : program_(program), ranks_(ranks), step_(step) {}

  void takeOut() {
    for (int64_t r = 0; r < program_.mesh.ranks(); ++r)
      eachInstruction(program_, classOf(program_, r),
                      [&](const Instruction& in, size_t i) { meet(r, in, at(r, i)); });
    for (auto& [key, members] : meetings_) takeOut(members);
    for (auto& [key, messages] : channels_) takeOut(messages);
  }

 private:
  struct Channel {
    std::vector<Interval*> sent, received;
  };
  /// A collective is the n-th of its group with equal axes (and tied parameter).
  using Group = std::tuple<uint8_t, int32_t, int64_t>;
  using Pair = std::tuple<bool, int64_t, int64_t>;

  Interval& at(int64_t rank, size_t i) { return ranks_[size_t(rank)].steps[step_][i]; }

  void meet(int64_t rank, const Instruction& in, Interval& span) {
    if (in.kind == Instruction::Kind::collective) {
      const Group group{in.axes.bits, in.participants > 0 ? in.boundary : -1,
                        firstOf(rank, in.axes)};
      const size_t n = visits_[{group, rank}]++;
      meetings_[{group, n}].push_back(&span);
    } else if (in.kind != Instruction::Kind::compute) {
      const bool sends = in.kind == Instruction::Kind::send;
      MeshCoordinates c = program_.mesh.coordinates(rank);
      c.back() = in.peerStage;
      const int64_t peer = program_.mesh.rank(c);
      Channel& channel =
          channels_[{in.backwardDirection, sends ? rank : peer, sends ? peer : rank}];
      (sends ? channel.sent : channel.received).push_back(&span);
    }
  }

  int64_t firstOf(int64_t rank, MeshAxes axes) const {
    MeshCoordinates c = program_.mesh.coordinates(rank);
    for (size_t a = 0; a < c.size(); ++a)
      if (axes.has(static_cast<MeshAxis>(a))) c[a] = 0;
    return program_.mesh.rank(c);
  }

  static void takeOut(const std::vector<Interval*>& members) {
    double last = 0;
    for (const Interval* m : members) last = std::max(last, m->start);
    for (Interval* m : members) m->start = std::min(last, m->end);
  }

  static void takeOut(const Channel& channel) {
    const size_t n = std::min(channel.sent.size(), channel.received.size());
    for (size_t i = 0; i < n; ++i) {
      Interval& received = *channel.received[i];
      received.start = std::clamp(channel.sent[i]->end, received.start, received.end);
    }
  }

  const Program& program_;
  std::vector<RankSteps>& ranks_;
  size_t step_;
  std::map<std::pair<Group, int64_t>, size_t> visits_;
  std::map<std::pair<Group, size_t>, std::vector<Interval*>> meetings_;
  std::map<Pair, Channel> channels_;
};

double median(std::vector<double> values) {
  return summarise(std::move(values)).median.value;
}

double lengthOf(const StepRecorder::Step& step) {
  double end = 0;
  for (const Interval& i : step) end = std::max(end, i.end);
  return step.empty() ? 0 : end - step.front().start;
}

/// The first rank of each stage.
std::vector<int64_t> representatives(const Program& program) {
  std::vector<int64_t> ranks;
  for (const RankClass& c : program.rankClasses)
    ranks.push_back(program.mesh.rank({0, 0, 0, c.stage}));
  return ranks;
}

size_t medianStep(const RankSteps& rank) {
  std::vector<std::pair<double, size_t>> lengths;
  for (size_t s = 0; s < rank.steps.size(); ++s) lengths.emplace_back(lengthOf(rank.steps[s]), s);
  const auto middle = lengths.begin() + static_cast<long>(lengths.size() / 2);
  std::nth_element(lengths.begin(), middle, lengths.end());
  return middle->second;
}

/// Medians of one instruction over the steps of a rank.
InstructionMeasurement measured(const RankSteps& rank, const RankSteps& busy, size_t i) {
  std::vector<double> starts, durations, works;
  for (size_t s = 0; s < rank.steps.size(); ++s) {
    const Interval& span = rank.steps[s][i];
    starts.push_back(span.start - rank.steps[s].front().start);
    durations.push_back(span.end - span.start);
    works.push_back(span.end - busy.steps[s][i].start);
  }
  InstructionMeasurement m;
  m.start = Seconds(median(std::move(starts)));
  m.duration = Seconds(median(std::move(durations)));
  m.busy = Seconds(median(std::move(works)));
  return m;
}

void addTime(RankClassSummary& summary, const Routine& routine, const Instruction& in,
             Seconds seconds) {
  TimeByCategory& t = summary.time;
  if (in.kind != Instruction::Kind::compute) {
    t.exposedCommunication += seconds;
    t.communication += seconds;
  } else if (routine.kind == Routine::Kind::update) {
    t.optimizer += seconds;
  } else {
    t.compute += seconds;
    if (in.recomputed) t.recompute += seconds;
  }
}

/// Waiting counts as bubble.
void addClass(const Program& program, uint16_t c, const StepRecorder::Step& step,
              const StepRecorder::Step& busy, double epoch, Timeline& timeline) {
  const RankClass& rankClass = program.rankClasses[c];
  RankClassSummary& summary = timeline.rankClasses[c];
  size_t index = 0;
  for (uint32_t call = 0; call < rankClass.calls.size(); ++call) {
    const Routine& routine = program.routines[rankClass.calls[call].routine];
    for (uint32_t i = 0; i < routine.instructions.size(); ++i, ++index) {
      const Instruction& in = routine.instructions[i];
      timeline.spans.push_back({c, in.stream, in.kind, call, i, Seconds(step[index].start - epoch),
                                Seconds(step[index].end - epoch)});
      addTime(summary, routine, in, Seconds(step[index].end - busy[index].start));
    }
  }
  summary.peak = rankClass.arenaBytes;
}

void sortSpans(Timeline& timeline) {
  std::sort(timeline.spans.begin(), timeline.spans.end(), [](const Span& a, const Span& b) {
    return std::tie(a.start, a.rankClass, a.stream, a.call, a.instruction) <
           std::tie(b.start, b.rankClass, b.stream, b.call, b.instruction);
  });
}

}  // namespace

std::vector<RankSteps> withoutWaiting(const Program& program, const std::vector<RankSteps>& ranks) {
  std::vector<RankSteps> busy = ranks;
  const size_t steps = ranks.empty() ? 0 : ranks.front().steps.size();
  for (size_t s = 0; s < steps; ++s) Waits(program, busy, s).takeOut();
  return busy;
}

StepRecord recordOf(const Program& program, const std::vector<RankSteps>& ranks) {
  StepRecord record;
  record.timeline.rankClasses.resize(program.rankClasses.size());
  if (ranks.empty() || ranks.front().steps.empty()) return record;
  const std::vector<RankSteps> busy = withoutWaiting(program, ranks);
  const size_t middle = medianStep(ranks.front());
  const std::vector<int64_t> chosen = representatives(program);
  double epoch = ranks.front().steps[middle].front().start;
  for (int64_t r : chosen) epoch = std::min(epoch, ranks[size_t(r)].steps[middle].front().start);
  for (uint16_t c = 0; c < chosen.size(); ++c) {
    const RankSteps& rank = ranks[size_t(chosen[c])];
    const RankSteps& work = busy[size_t(chosen[c])];
    addClass(program, c, rank.steps[middle], work.steps[middle], epoch, record.timeline);
    size_t index = 0;
    for (uint32_t call = 0; call < program.rankClasses[c].calls.size(); ++call) {
      const Call& k = program.rankClasses[c].calls[call];
      for (uint32_t i = 0; i < program.routines[k.routine].instructions.size(); ++i) {
        InstructionMeasurement m = measured(rank, work, index++);
        m.rankClass = c, m.call = call, m.instruction = i;
        record.instructions.push_back(m);
      }
    }
  }
  sortSpans(record.timeline);
  for (const Span& s : record.timeline.spans)
    record.timeline.stepTime = std::max(record.timeline.stepTime, s.end);
  record.timeline.events = record.timeline.spans.size();
  for (RankClassSummary& summary : record.timeline.rankClasses) {
    const TimeByCategory& t = summary.time;
    summary.time.bubble = std::max(
        Seconds(0), record.timeline.stepTime - (t.compute + t.optimizer + t.exposedCommunication));
  }
  return record;
}

}  // namespace meshplan
