// SPDX-License-Identifier: Apache-2.0
#include "core/timeline.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace meshplan {
namespace {

constexpr size_t kNoSpan = SIZE_MAX;

// Who waits for whom among the spans of a timeline.
class Waiting {
 public:
  Waiting(const Program& program, const Timeline& timeline)
      : program_(program), spans_(timeline.spans), previous_(spans_.size(), kNoSpan) {
    indexSpans();
    linkStreams();
    for (size_t i = 0; i < spans_.size(); ++i) collectMeeting(i);
  }

  // The span that ended last of those that `i` had to wait for: its own predecessors, and those of
  // the spans that it had to start together with. `through` is the span among these whose
  // predecessor it is.
  size_t latest(size_t i, size_t& through) const {
    size_t best = kNoSpan;
    through = i;
    for (size_t member : meeting(i))
      for (size_t p : predecessors(member))
        if (best == kNoSpan || spans_[p].end > spans_[best].end) best = p, through = member;
    return best;
  }

 private:
  using MeetingKey = std::tuple<bool, int32_t, bool, int32_t>;

  const Call& call(const Span& s) const { return program_.rankClasses[s.rankClass].calls[s.call]; }
  const Instruction& instruction(const Span& s) const {
    return program_.routines[call(s).routine].instructions[s.instruction];
  }
  size_t& slot(uint32_t rankClass, uint32_t callIndex, uint32_t i) {
    return byId_[firstOfCall_[rankClass][callIndex] + i];
  }

  void indexSpans() {
    size_t next = 0;
    for (const RankClass& rankClass : program_.rankClasses) {
      firstOfCall_.emplace_back();
      for (const Call& c : rankClass.calls) {
        firstOfCall_.back().push_back(next);
        next += program_.routines[c.routine].instructions.size();
      }
    }
    byId_.assign(next, kNoSpan);
    for (size_t i = 0; i < spans_.size(); ++i)
      slot(spans_[i].rankClass, spans_[i].call, spans_[i].instruction) = i;
  }

  // In issue order: the span before each on its stream, and the last one before each on the streams
  // it drains.
  void linkStreams() {
    drained_.resize(spans_.size());
    for (uint32_t c = 0; c < program_.rankClasses.size(); ++c) {
      std::array<size_t, kStreams> last;
      last.fill(kNoSpan);
      for (uint32_t k = 0; k < program_.rankClasses[c].calls.size(); ++k) {
        const Routine& routine = program_.routines[program_.rankClasses[c].calls[k].routine];
        for (uint32_t i = 0; i < routine.instructions.size(); ++i)
          if (const size_t span = slot(c, k, i); span != kNoSpan)
            link(span, routine.instructions[i], last);
      }
    }
  }

  void link(size_t span, const Instruction& in, std::array<size_t, kStreams>& last) {
    previous_[span] = last[size_t(in.stream)];
    for (size_t s = 0; s < kStreams; ++s)
      if ((in.drains >> s & 1) && last[s] != kNoSpan) drained_[span].push_back(last[s]);
    last[size_t(in.stream)] = span;
  }

  // Spans are in time order, so members of one meeting of a joint collective come before those of
  // the next.
  void collectMeeting(size_t i) {
    const Instruction& in = instruction(spans_[i]);
    const bool transfer =
        in.kind == Instruction::Kind::send || in.kind == Instruction::Kind::receive;
    if (!transfer && !(in.kind == Instruction::Kind::collective && in.axes.has(MeshAxis::pipeline)))
      return;
    const int32_t which =
        transfer ? call(spans_[i]).microBatch : occurrences_[{spans_[i].rankClass, in.boundary}]++;
    std::vector<size_t>& members = meetings_[{transfer, in.boundary, in.backwardDirection, which}];
    members.push_back(i);
    meetingOf_[i] = &members;
  }

  std::vector<size_t> meeting(size_t i) const {
    const auto found = meetingOf_.find(i);
    return found == meetingOf_.end() ? std::vector<size_t>{i} : *found->second;
  }

  std::vector<size_t> predecessors(size_t i) const {
    std::vector<size_t> out = drained_[i];
    if (previous_[i] != kNoSpan) out.push_back(previous_[i]);
    const Span& s = spans_[i];
    for (uint32_t w : instruction(s).waits)
      if (const size_t p = byId_[firstOfCall_[s.rankClass][s.call] + w]; p != kNoSpan)
        out.push_back(p);
    return out;
  }

  const Program& program_;
  const std::vector<Span>& spans_;
  std::vector<size_t> previous_;
  std::vector<std::vector<size_t>> drained_;
  std::vector<std::vector<size_t>> firstOfCall_;
  std::vector<size_t> byId_;
  std::map<std::pair<uint16_t, int32_t>, int32_t> occurrences_;
  std::map<MeetingKey, std::vector<size_t>> meetings_;  // spans that start together
  std::map<size_t, const std::vector<size_t>*> meetingOf_;
};

}  // namespace

size_t Timeline::peakRankClass() const {
  const auto peak = std::max_element(
      rankClasses.begin(), rankClasses.end(),
      [](const RankClassSummary& a, const RankClassSummary& b) { return a.peak < b.peak; });
  return size_t(peak - rankClasses.begin());
}

std::vector<size_t> criticalPath(const Program& program, const Timeline& timeline) {
  const std::vector<Span>& spans = timeline.spans;
  if (spans.empty()) return {};
  const Waiting waiting(program, timeline);
  size_t at = size_t(std::max_element(spans.begin(), spans.end(),
                                      [](const Span& a, const Span& b) { return a.end < b.end; }) -
                     spans.begin());
  std::vector<size_t> path;
  while (at != kNoSpan) {
    size_t through = at;
    const size_t before = waiting.latest(at, through);
    path.push_back(through);
    at = before;
  }
  std::reverse(path.begin(), path.end());
  return path;
}

}  // namespace meshplan
