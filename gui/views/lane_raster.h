// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QImage>
#include <QPainter>
#include <QPalette>
#include <array>

#include "gui/models/span_track.h"

namespace meshplan::gui {

/// `share` of b in a.
QColor blended(const QColor& a, const QColor& b, double share);
/// The colour of bubbles is quiet: hatched over the background.
QColor laneColour(SpanKind kind, const QPalette& palette);
QColor laneHatch(SpanKind kind, const QPalette& palette);

/// How far a time is from what it is held against (that over it, less 1): worseColour where it
/// takes longer, stronger the larger it is.
QColor errorColour(double error);

/// Fills lanes with runs, pixel by pixel: what takes QPainter milliseconds per lane takes
/// microseconds so. A span that is wide enough ends in a pixel of the background, which tells it
/// from the next.
class LaneRaster {
 public:
  explicit LaneRaster(const QPalette& palette);
  /// Columns of the runs are pixels of `area`, which lies in the image (Format_RGB32).
  void paint(QImage& image, const QRect& area, const std::vector<TrackRun>& runs);

 private:
  static constexpr int kTile = 8;

  void fillLine(int row, int left, int width, const std::vector<TrackRun>& runs);

  std::array<QImage, kSpanKinds> tiles_;
  QRgb background_;
  std::vector<QRgb> line_;
};

/// The same with a painter, for pictures that are kept as shapes. Column c of the runs begins at
/// area.x() + c * column.
void paintRuns(QPainter& painter, const QRectF& area, double column,
               const std::vector<TrackRun>& runs, const QPalette& palette);
/// One rectangle in the colour and pattern of a kind.
void paintKind(QPainter& painter, const QRectF& area, SpanKind kind, const QPalette& palette);

}  // namespace meshplan::gui
