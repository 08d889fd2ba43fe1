// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/timeline.h"
#include "gui/models/span_track.h"

namespace meshplan::gui {

/// A call of a routine on the compute stream: "forward of micro-batch 3".
struct CallBlock {
  double start = 0, end = 0;
  uint32_t call = 0;   // into RankClass::calls
  uint32_t spans = 0;  // how many it has here
};

/// What one stream of a rank class did. Sources of its spans are indices into Timeline::spans, or
/// kBubble. Bubbles are the gaps of the compute stream inside [0, step time], from 1 ns on.
struct Track {
  static constexpr uint32_t kBubble = UINT32_MAX;

  uint16_t rankClass = 0;
  Stream stream = Stream::compute;
  bool measured = false;
  SpanTrack spans;
  std::vector<CallBlock> calls;  // of the compute stream
  /// Of a track that is held against another step's, by span: what its twin took there, in seconds;
  /// below 0: not known. For measured tracks that is what was predicted.
  std::vector<float> predicted;
};

/// Adds a span to the last call block, or begins one.
void addCallBlock(Track& track, uint32_t call, double begin, double end);

/// The time predicted and measured of the spans in a window that have both.
struct PredictedTime {
  double predicted = 0, measured = 0;
};
PredictedTime predictedIn(const Track& track, double begin, double end);

/// The tracks of a timeline, by rank class and stream; only streams that have spans. With a second,
/// measured timeline of the same program, each of its tracks follows its predicted twin. Spans that
/// the program lacks are refused with Error(usage).
class TimelineTracks {
 public:
  TimelineTracks() = default;
  TimelineTracks(const Program& program, const Timeline& timeline,
                 const Timeline* measured = nullptr);
  /// Of one rank class alone, held against the timeline of a twin of the program (null: none), in
  /// a step that is shown as long as `stepTime` at least.
  static TimelineTracks ofStage(const Program& program, const Timeline& timeline, size_t rankClass,
                                const Timeline* twin, double stepTime);
  TimelineTracks(std::vector<Track> tracks, double stepTime)
      : tracks_(std::move(tracks)), stepTime_(stepTime) {}

  const std::vector<Track>& tracks() const { return tracks_; }
  /// The longer of the step times.
  double stepTime() const { return stepTime_; }
  size_t spanCount() const;
  /// The track and place of a span of Timeline::spans, or tracks().size().
  struct Place {
    size_t track = 0, place = 0;
  };
  Place find(const Timeline& timeline, uint32_t source, bool measured) const;

 private:
  std::vector<Track> tracks_;
  double stepTime_ = 0;
};

/// What each instruction of each call took in a timeline of the program.
class InstructionSpans {
 public:
  InstructionSpans(const Program& program, const Timeline& timeline);
  /// Seconds; below 0: it is not there.
  float of(const Span& s) const { return times_[slot(s)]; }

 private:
  size_t slot(const Span& s) const { return first_[s.rankClass][s.call] + s.instruction; }

  std::vector<std::vector<size_t>> first_;
  std::vector<float> times_;
};

/// The ranks of a rank class in the mesh.
std::vector<int64_t> ranksOf(const Program& program, size_t rankClass);
/// "0–7, 16"
std::string rankListText(const std::vector<int64_t>& sortedRanks);

}  // namespace meshplan::gui
