// SPDX-License-Identifier: Apache-2.0
#include "gui/views/lane_layout.h"

#include <algorithm>
#include <cmath>

namespace meshplan::gui {

LaneLayout layOutLanes(const TimelineScene& scene, double lane) {
  LaneLayout out;
  const double small = std::max(2.0, std::round(0.75 * lane));
  const double gap = lane >= 8 ? 2 : lane >= 4 ? 1 : 0, between = std::round(0.4 * lane);
  double y = between / 2;
  for (size_t t = 0; t < scene.tracks.tracks().size(); ++t) {
    const Track& track = scene.tracks.tracks()[t];
    if (out.blocks.empty() || out.blocks.back().rankClass != track.rankClass) {
      if (!out.blocks.empty()) y += between;
      out.blocks.push_back({track.rankClass, t, 0, y, 0});
    }
    out.lanes.push_back({y, track.stream == Stream::compute ? lane : small});
    y += out.lanes.back().height + gap;
    ++out.blocks.back().tracks;
    out.blocks.back().height = y - gap - out.blocks.back().y;
  }
  out.height = y + between / 2;
  return out;
}

size_t LaneLayout::laneAt(double y) const {
  const auto below = std::upper_bound(lanes.begin(), lanes.end(), y,
                                      [](double at, const Lane& lane) { return at < lane.y; });
  if (below == lanes.begin()) return lanes.size();
  const Lane& lane = *(below - 1);
  return y < lane.y + lane.height ? size_t(below - lanes.begin()) - 1 : lanes.size();
}

}  // namespace meshplan::gui
