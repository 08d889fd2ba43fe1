// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QString>
#include <memory>
#include <optional>
#include <vector>

#include "gui/models/compared_step.h"
#include "gui/models/memory_curve.h"
#include "gui/models/timeline_tracks.h"

namespace meshplan::gui {

/// A span or bubble of a scene: a place on a track.
struct SpanPlace {
  size_t track = 0, place = 0;
  bool operator==(const SpanPlace&) const = default;
};

/// A transfer from stage to stage.
struct Flow {
  SpanPlace send, receive;
  double begin = 0, end = 0;  // from the send's start to the receive's end
};

/// Places by track, in time order: what is to be told apart from the rest.
using MarkedPlaces = std::vector<std::vector<uint32_t>>;

/// All that a timeline view draws of a plan. Fixed once made; threads share it. The referred
/// objects live in `owner`, `measuredOwner` and `otherOwner`, or are the caller's.
struct TimelineScene {
  std::shared_ptr<const ShownPlan> owner;  // null: made from parts
  std::shared_ptr<const Timeline> measuredOwner;
  std::shared_ptr<const void> otherOwner;
  const Program* program = nullptr;
  const Graph* graph = nullptr;
  const Timeline* timeline = nullptr;
  const Timeline* measured = nullptr;
  TimelineTracks tracks;
  std::vector<MemoryCurve> memory;  // by rank class
  std::vector<Flow> flows;          // by begin
  EvidenceTable evidence;           // of the predicted times
  std::vector<std::vector<int64_t>> ranks;
  /// Of a timeline that was read from a file: its processes (by rank class) and threads (by track).
  std::vector<QString> classNames, trackNames;

  const Track& track(const SpanPlace& p) const { return tracks.tracks()[p.track]; }
  /// Null for a bubble.
  const Span* span(const SpanPlace& p) const;
  const Call& call(const Span& s) const { return program->rankClasses[s.rankClass].calls[s.call]; }
  const Routine& routine(const Span& s) const { return program->routines[call(s).routine]; }
  const Instruction& instruction(const Span& s) const {
    return routine(s).instructions[s.instruction];
  }
  double start(const SpanPlace& p) const { return track(p).spans.start(p.place); }
  double end(const SpanPlace& p) const { return track(p).spans.end(p.place); }
  /// The forward operator that an instruction belongs to; invalid when there is none, as in a
  /// timeline that was read from a file.
  OpId forwardOperator(const Instruction& in) const;
};

std::shared_ptr<const TimelineScene> sceneOf(std::shared_ptr<const ShownPlan> shown,
                                             std::shared_ptr<const Timeline> measured = {});
/// A run beside its prediction.
std::shared_ptr<const TimelineScene> sceneOf(std::shared_ptr<const Comparison> run);
/// One stage of a step, without memory and flows, to be shown in a step of at least `stepTime`.
/// `twin`: of the same program, for each span's time there; null: none.
std::shared_ptr<const TimelineScene> sceneOf(const ComparedStep& step, size_t rankClass,
                                             const ComparedStep* twin, double stepTime);
std::shared_ptr<const TimelineScene> sceneOf(const Program& program, const Graph& graph,
                                             const Timeline& timeline,
                                             const Timeline* measured = nullptr);

/// The spans of these forward operators, with those of their gradients and updates.
MarkedPlaces placesOf(const TimelineScene& scene, const std::vector<OpId>& sortedOperators);
/// core's criticalPath; slow for long timelines. None of a timeline that was read from a file:
/// nobody knows what waited for what.
MarkedPlaces criticalPlaces(const TimelineScene& scene);

}  // namespace meshplan::gui
