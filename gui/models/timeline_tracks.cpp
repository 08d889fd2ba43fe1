// SPDX-License-Identifier: Apache-2.0
#include "gui/models/timeline_tracks.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "core/error.h"

namespace meshplan::gui {
namespace {

constexpr double kLeastBubble = 1e-9;

// The kinds of all instructions of a program, side by side.
class Kinds {
 public:
  explicit Kinds(const Program& program) : program_(program) {
    for (const Routine& routine : program.routines) {
      first_.push_back(kinds_.size());
      for (const Instruction& in : routine.instructions) kinds_.push_back(spanKindOf(routine, in));
    }
    first_.push_back(kinds_.size());
  }

  SpanKind of(const Span& s) const {
    const uint32_t routine = program_.rankClasses[s.rankClass].calls[s.call].routine;
    return kinds_[first_[routine] + s.instruction];
  }
  bool has(const Span& s) const {
    if (s.rankClass >= program_.rankClasses.size()) return false;
    const auto& calls = program_.rankClasses[s.rankClass].calls;
    if (s.call >= calls.size()) return false;
    const uint32_t routine = calls[s.call].routine;
    return s.instruction < first_[routine + 1] - first_[routine];
  }

 private:
  const Program& program_;
  std::vector<size_t> first_;
  std::vector<SpanKind> kinds_;
};

size_t laneOf(const Span& s) {
  return size_t(s.rankClass) * kStreams + size_t(s.stream);
}

// The spans of each stream of each rank class, in time order.
std::vector<std::vector<uint32_t>> lanesOf(const Program& program, const Timeline& timeline,
                                           const Kinds& kinds) {
  std::vector<size_t> counts(program.rankClasses.size() * kStreams);
  for (const Span& s : timeline.spans) {
    if (!kinds.has(s))
      throw Error(ErrorKind::usage, "a span belongs to no instruction of the program",
                  "show a timeline with the plan that it was made from");
    ++counts[laneOf(s)];
  }
  std::vector<std::vector<uint32_t>> lanes(counts.size());
  for (size_t i = 0; i < lanes.size(); ++i) lanes[i].reserve(counts[i]);
  for (size_t i = 0; i < timeline.spans.size(); ++i)
    lanes[laneOf(timeline.spans[i])].push_back(uint32_t(i));
  const auto earlier = [&](uint32_t a, uint32_t b) {
    return timeline.spans[a].start < timeline.spans[b].start;
  };
  for (auto& lane : lanes)
    if (!std::is_sorted(lane.begin(), lane.end(), earlier))
      std::stable_sort(lane.begin(), lane.end(), earlier);
  return lanes;
}

void addBubble(Track& track, double& reached, double until) {
  if (until - reached >= kLeastBubble)
    track.spans.add(reached, until, SpanKind::bubble, Track::kBubble);
}

Track trackOf(const Timeline& timeline, const std::vector<uint32_t>& lane, const Kinds& kinds) {
  const Span& first = timeline.spans[lane.front()];
  Track track{first.rankClass, first.stream, false, {}, {}, {}};
  const bool compute = first.stream == Stream::compute;
  track.spans.reserve(lane.size() + (compute ? lane.size() / 8 : 0));
  double reached = 0;
  for (uint32_t i : lane) {
    const Span& s = timeline.spans[i];
    if (compute)
      addBubble(track, reached, s.start.value),
          addCallBlock(track, s.call, s.start.value, s.end.value);
    track.spans.add(s.start.value, s.end.value, kinds.of(s), i);
    reached = std::max(reached, s.end.value);
  }
  if (compute) addBubble(track, reached, timeline.stepTime.value);
  track.spans.finish();
  return track;
}

Track heldAgainst(Track track, const Timeline& timeline, const InstructionSpans& predictions) {
  track.predicted.reserve(track.spans.size());
  for (size_t i = 0; i < track.spans.size(); ++i) {
    const uint32_t source = track.spans.source(i);
    track.predicted.push_back(source == Track::kBubble ? -1.0F
                                                       : predictions.of(timeline.spans[source]));
  }
  return track;
}

std::vector<Track> tracksOf(const Program& program, const Timeline& timeline, const Kinds& kinds,
                            std::optional<size_t> only = {}) {
  std::vector<Track> tracks;
  for (const auto& lane : lanesOf(program, timeline, kinds))
    if (!lane.empty() && (!only || timeline.spans[lane.front()].rankClass == *only))
      tracks.push_back(trackOf(timeline, lane, kinds));
  return tracks;
}

}  // namespace

InstructionSpans::InstructionSpans(const Program& program, const Timeline& timeline) {
  size_t next = 0;
  for (const RankClass& c : program.rankClasses) {
    first_.emplace_back();
    for (const Call& call : c.calls) {
      first_.back().push_back(next);
      next += program.routines[call.routine].instructions.size();
    }
  }
  times_.assign(next, -1);
  for (const Span& s : timeline.spans) times_[slot(s)] = float((s.end - s.start).value);
}

PredictedTime predictedIn(const Track& track, double begin, double end) {
  PredictedTime out;
  const SpanTrack& spans = track.spans;
  for (size_t i = spans.firstEndingAfter(begin); i < spans.size() && spans.start(i) < end; ++i) {
    if (track.predicted[i] < 0) continue;
    const double whole = spans.end(i) - spans.start(i);
    const double part = std::min(spans.end(i), end) - std::max(spans.start(i), begin);
    out.measured += part;
    out.predicted += part / whole * double(track.predicted[i]);
  }
  return out;
}

TimelineTracks::TimelineTracks(const Program& program, const Timeline& timeline,
                               const Timeline* measured) {
  const Kinds kinds(program);
  tracks_ = tracksOf(program, timeline, kinds);
  stepTime_ = timeline.stepTime.value;
  if (!measured) return;
  const InstructionSpans predictions(program, timeline);
  for (Track& track : tracksOf(program, *measured, kinds)) {
    tracks_.push_back(heldAgainst(std::move(track), *measured, predictions));
    tracks_.back().measured = true;
  }
  std::stable_sort(tracks_.begin(), tracks_.end(), [](const Track& a, const Track& b) {
    return std::tie(a.rankClass, a.stream, a.measured) <
           std::tie(b.rankClass, b.stream, b.measured);
  });
  stepTime_ = std::max(stepTime_, measured->stepTime.value);
}

TimelineTracks TimelineTracks::ofStage(const Program& program, const Timeline& timeline,
                                       size_t rankClass, const Timeline* twin, double stepTime) {
  TimelineTracks out;
  out.tracks_ = tracksOf(program, timeline, Kinds(program), rankClass);
  out.stepTime_ = std::max(stepTime, timeline.stepTime.value);
  if (!twin) return out;
  const InstructionSpans twins(program, *twin);
  for (Track& track : out.tracks_) track = heldAgainst(std::move(track), timeline, twins);
  return out;
}

size_t TimelineTracks::spanCount() const {
  return std::accumulate(tracks_.begin(), tracks_.end(), size_t{0},
                         [](size_t n, const Track& t) { return n + t.spans.size(); });
}

TimelineTracks::Place TimelineTracks::find(const Timeline& timeline, uint32_t source,
                                           bool measured) const {
  const Span& s = timeline.spans[source];
  for (size_t t = 0; t < tracks_.size(); ++t) {
    const Track& track = tracks_[t];
    if (track.rankClass != s.rankClass || track.stream != s.stream || track.measured != measured)
      continue;
    for (size_t i = track.spans.firstEndingAfter(s.start.value);
         i < track.spans.size() && track.spans.start(i) < s.end.value; ++i)
      if (track.spans.source(i) == source) return {t, i};
  }
  return {tracks_.size(), 0};
}

void addCallBlock(Track& track, uint32_t call, double begin, double end) {
  if (track.calls.empty() || track.calls.back().call != call)
    track.calls.push_back({begin, end, call, 0});
  track.calls.back().end = std::max(track.calls.back().end, end);
  ++track.calls.back().spans;
}

std::vector<int64_t> ranksOf(const Program& program, size_t rankClass) {
  std::vector<int64_t> ranks;
  const int64_t stage = program.rankClasses[rankClass].stage;
  for (int64_t r = 0; r < program.mesh.ranks(); ++r)
    if (program.mesh.coordinates(r)[size_t(MeshAxis::pipeline)] == stage) ranks.push_back(r);
  return ranks;
}

std::string rankListText(const std::vector<int64_t>& ranks) {
  std::string out;
  for (size_t i = 0, next = 0; i < ranks.size(); i = next) {
    for (next = i + 1; next < ranks.size() && ranks[next] == ranks[next - 1] + 1;) ++next;
    out += fmt::format("{}{}", out.empty() ? "" : ", ", ranks[i]);
    if (next - i > 1) out += fmt::format("–{}", ranks[next - 1]);
  }
  return out;
}

}  // namespace meshplan::gui
