// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QPainter>
#include <QPalette>
#include <QSizeF>
#include <optional>

#include "gui/models/timeline_scene.h"
#include "gui/selection.h"

namespace meshplan::gui {

/// What of a timeline is drawn to keep.
struct TimelinePicture {
  std::optional<TimeRange> window;     // none: the whole step
  const Timeline* measured = nullptr;  // of the same program: paired lanes
  std::vector<OpId> operators;         // outlined
  bool memory = true;                  // of the rank class with the highest peak
  bool flows = true;                   // from send to receive, where there are few
  std::optional<QPalette> palette;     // none: light
};

/// A plan's timeline as shapes, at most one per point and track, for files and paper: title, time
/// axis, tracks, memory, legend. Lanes share the height that is there. Uses the painter's font.
void paintTimeline(QPainter& painter, const QSizeF& size, const ShownPlan& shown,
                   const TimelinePicture& options = {});
void paintTimeline(QPainter& painter, const QSizeF& size, const TimelineScene& scene,
                   const QString& title, const TimelinePicture& options = {});
/// With so many points to draw on, a size at which all lanes are easy to read.
QSizeF timelinePictureSize(const ShownPlan& shown, const TimelinePicture& options = {},
                           double width = 1600);

}  // namespace meshplan::gui
