// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "gui/models/timeline_scene.h"

namespace meshplan::gui {

/// Steps from span to span of a timeline, as its keys make them. Nothing when there is none.

enum class Direction { back, forth };

/// The marked span that begins next after (or before) one that begins at `from`; of those that
/// begin together, the next track's after `track`.
std::optional<SpanPlace> stepToMarked(const TimelineScene& scene, const MarkedPlaces& marked,
                                      double from, size_t track, Direction direction);
/// The next bubble of at least `least` seconds on the compute tracks of these rank classes (none:
/// all).
std::optional<SpanPlace> stepToBubble(const TimelineScene& scene,
                                      const std::vector<size_t>& rankClasses, double least,
                                      double from, Direction direction);

}  // namespace meshplan::gui
