// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QString>

#include "gui/models/timeline_scene.h"

namespace meshplan::gui {

/// What a timeline says about its spans.

/// "layers.3.attention.q", "all-reduce tensor", "bubble".
QString spanName(const TimelineScene& scene, const SpanPlace& place);
/// "F3" for a forward call of micro-batch 3, "B3" for a backward one, "U" for the update; with the
/// chunk behind it where stages have several.
QString callName(const TimelineScene& scene, const Track& track, const CallBlock& block);
/// Several lines of rich text: name, phase, times, bytes, and where the prediction comes from.
QString spanTip(const TimelineScene& scene, const SpanPlace& place);

/// The same as one line of plain text.
QString spanLine(const TimelineScene& scene, const SpanPlace& place);

/// "Stage 2", and the name of a stream's lane: "compute", "tensor · measured".
QString rankClassName(const TimelineScene& scene, size_t rankClass);
QString trackName(const TimelineScene& scene, const Track& track);

}  // namespace meshplan::gui
