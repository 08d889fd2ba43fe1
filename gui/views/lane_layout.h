// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "gui/models/timeline_scene.h"

namespace meshplan::gui {

/// Where the tracks of a scene lie, one below the other, from y = 0: a block per rank class, a lane
/// per track; the lane of the compute stream is higher than the others.
struct Lane {
  double y = 0, height = 0;
};
struct LaneBlock {
  size_t rankClass = 0;
  size_t firstTrack = 0, tracks = 0;
  double y = 0, height = 0;
};
struct LaneLayout {
  std::vector<Lane> lanes;  // by track
  std::vector<LaneBlock> blocks;
  double height = 0;

  /// The track at y, or lanes.size().
  size_t laneAt(double y) const;
};

/// `lane` is the height of the compute stream's lanes in pixels.
LaneLayout layOutLanes(const TimelineScene& scene, double lane);

}  // namespace meshplan::gui
