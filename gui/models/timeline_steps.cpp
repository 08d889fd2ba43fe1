// SPDX-License-Identifier: Apache-2.0
#include "gui/models/timeline_steps.h"

#include <algorithm>
#include <utility>

namespace meshplan::gui {
namespace {

using Position = std::pair<double, size_t>;  // start, track

// The nearest of all candidates on the wanted side of `from`.
class Nearest {
 public:
  Nearest(const TimelineScene& scene, Position from, Direction direction)
      : scene_(scene), from_(from), forth_(direction == Direction::forth) {}

  void offer(const SpanPlace& place) {
    const Position at{scene_.start(place), place.track};
    if (!isBeyond(at, from_)) return;
    if (!best_ || isBeyond(bestAt_, at)) best_ = place, bestAt_ = at;
  }
  std::optional<SpanPlace> best() const { return best_; }

 private:
  bool isBeyond(const Position& a, const Position& b) const { return forth_ ? a > b : a < b; }

  const TimelineScene& scene_;
  Position from_, bestAt_;
  bool forth_;
  std::optional<SpanPlace> best_;
};

}  // namespace

std::optional<SpanPlace> stepToMarked(const TimelineScene& scene, const MarkedPlaces& marked,
                                      double from, size_t track, Direction direction) {
  Nearest nearest(scene, {from, track}, direction);
  for (size_t t = 0; t < marked.size(); ++t) {
    const SpanTrack& spans = scene.tracks.tracks()[t].spans;
    const std::vector<uint32_t>& places = marked[t];
    const auto at = std::partition_point(places.begin(), places.end(),
                                         [&](uint32_t p) { return spans.start(p) < from; });
    for (auto p = at; p != places.end() && p - at < 2; ++p) nearest.offer({t, *p});
    if (at != places.begin()) nearest.offer({t, *(at - 1)});
  }
  return nearest.best();
}

std::optional<SpanPlace> stepToBubble(const TimelineScene& scene,
                                      const std::vector<size_t>& rankClasses, double least,
                                      double from, Direction direction) {
  Nearest nearest(scene, {from, 0}, direction);
  for (size_t t = 0; t < scene.tracks.tracks().size(); ++t) {
    const Track& track = scene.tracks.tracks()[t];
    const bool wanted = rankClasses.empty() || std::find(rankClasses.begin(), rankClasses.end(),
                                                         track.rankClass) != rankClasses.end();
    if (!wanted || track.stream != Stream::compute) continue;
    const SpanTrack& spans = track.spans;
    for (size_t i = 0; i < spans.size(); ++i)
      if (spans.kind(i) == SpanKind::bubble && spans.end(i) - spans.start(i) >= least &&
          spans.start(i) != from)
        nearest.offer({t, i});
  }
  return nearest.best();
}

}  // namespace meshplan::gui
