// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QHash>
#include <QPainter>
#include <QPalette>
#include <QStaticText>
#include <functional>
#include <utility>

#include "gui/models/time_scale.h"
#include "gui/models/timeline_scene.h"
#include "gui/views/lane_layout.h"

namespace meshplan::gui {

/// The parts of a timeline's picture that its widgets and its printed form share.

/// What stands left of the lanes: the widest stage name beside the widest stream name.
double laneHeaderWidth(const QFontMetricsF& metrics, const TimelineScene& scene);
/// Of the lanes at y - scroll; `selected` tells the rank classes that are to stand out.
void paintLaneHeaders(QPainter& painter, const TimelineScene& scene, const LaneLayout& layout,
                      double width, const std::function<bool(size_t)>& selected,
                      const QPalette& palette);
void paintRuler(QPainter& painter, const QRectF& area, const TimeScale& scale,
                const QPalette& palette);
/// Vertical lines where the ruler has its ticks.
void paintGrid(QPainter& painter, const QRectF& area, const TimeScale& scale, const QColor& colour);
int tickCount(const QFontMetricsF& metrics, double width);

/// The memory curve of a rank class with its peak, and the limit where it is near.
void paintMemory(QPainter& painter, const QRectF& area, const TimeScale& scale,
                 const TimelineScene& scene, size_t rankClass, const QPalette& palette);
void paintMemoryHeader(QPainter& painter, const QRectF& area, const TimelineScene& scene,
                       size_t rankClass, const QPalette& palette);

/// Swatches of all kinds with their names, in as many lines as the width of the area takes; gives
/// the size used.
QSizeF paintLegend(QPainter& painter, const QRectF& area, const QPalette& palette);

/// Names on spans that are wide enough for them, names of calls where single spans are not. Keeps
/// laid out texts.
class LaneLabels {
 public:
  /// `column` pixels per column of the runs, which begin at area.x().
  void paint(QPainter& painter, const TimelineScene& scene, size_t track, const QRectF& area,
             const TimeScale& scale, double column, const std::vector<TrackRun>& runs,
             const QPalette& palette);
  void clear() { texts_.clear(); }

 private:
  struct Label {
    QStaticText whole, brief;
    double wholeWidth = 0, briefWidth = 0;
  };
  /// Whole and brief.
  using Names = std::function<std::pair<QString, QString>()>;

  const Label& label(const QPainter& painter, quint64 key, const Names& names);
  /// Gives what it covers.
  QRectF draw(QPainter& painter, const Label& label, const QRectF& area, const QColor& colour,
              const QColor& back) const;
  void paintCalls(QPainter& painter, const TimelineScene& scene, const Track& track,
                  const QRectF& area, const TimeScale& scale, const QPalette& palette);
  void paintCall(QPainter& painter, const TimelineScene& scene, const Track& track,
                 const CallBlock& block, const QRectF& area);

  QHash<quint64, Label> texts_;
  std::vector<QRectF> taken_;  // by calls, from left to right
};

/// Under the runs of a track that is held against another's: how far their times are from those.
void paintErrors(QPainter& painter, const Track& track, const QRectF& area, const TimeScale& scale,
                 double column, const std::vector<TrackRun>& runs, const QPalette& palette);
/// A line from a send's rectangle to its receive's.
void paintFlow(QPainter& painter, const QRectF& send, const QRectF& receive, const QPen& pen);
/// More flows at once are a tangle.
inline constexpr ptrdiff_t kFewFlows = 60;

/// Outlines around marked spans of a track; at most one shape per pixel.
void paintMarked(QPainter& painter, const Track& track, const std::vector<uint32_t>& places,
                 const QRectF& area, const TimeScale& scale, const QColor& colour);

}  // namespace meshplan::gui
