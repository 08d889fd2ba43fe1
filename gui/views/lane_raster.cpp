// SPDX-License-Identifier: Apache-2.0
#include "gui/views/lane_raster.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace meshplan::gui {
namespace {

// Lines from corner to corner in steps of 8, cut to the area: every device draws these alike.
void paintHatch(QPainter& painter, const QRectF& area, bool falling) {
  const double step = 8, width = area.width(), height = area.height();
  QVector<QLineF> lines;
  for (double c = step; c < width + height; c += step) {
    const double x0 = std::max(0.0, c - height), x1 = std::min(c, width);
    const QPointF low(x0, c - x0), high(x1, c - x1);
    const auto place = [&](const QPointF& p) {
      return QPointF(area.x() + p.x(), area.y() + (falling ? height - p.y() : p.y()));
    };
    lines.push_back({place(low), place(high)});
  }
  painter.drawLines(lines);
}

}  // namespace

QColor blended(const QColor& a, const QColor& b, double share) {
  const auto mix = [share](int x, int y) { return int(x + share * (y - x)); };
  return {mix(a.red(), b.red()), mix(a.green(), b.green()), mix(a.blue(), b.blue())};
}

QColor laneColour(SpanKind kind, const QPalette& palette) {
  if (kind != SpanKind::bubble) return spanColour(kind);
  return blended(palette.color(QPalette::Base), spanColour(kind), 0.12);
}

QColor laneHatch(SpanKind kind, const QPalette& palette) {
  if (kind != SpanKind::bubble) return spanColour(kind).darker(135);
  return blended(palette.color(QPalette::Base), spanColour(kind), 0.55);
}

QColor errorColour(double error) {
  const double size = std::clamp(std::abs(error) / 0.4, 0.0, 1.0);
  QColor colour = error < 0 ? worseColour() : betterColour();
  colour.setAlphaF(float(0.4 + 0.6 * size));
  return colour;
}

LaneRaster::LaneRaster(const QPalette& palette) : background_(palette.color(QPalette::Base).rgb()) {
  for (size_t k = 0; k < kSpanKinds; ++k) {
    tiles_[k] = QImage(kTile, kTile, QImage::Format_RGB32);
    tiles_[k].fill(laneColour(SpanKind(k), palette));
    const Qt::BrushStyle pattern = spanPattern(SpanKind(k));
    if (pattern == Qt::SolidPattern) continue;
    QPainter painter(&tiles_[k]);
    painter.fillRect(tiles_[k].rect(), QBrush(laneHatch(SpanKind(k), palette), pattern));
  }
}

void LaneRaster::fillLine(int row, int left, int width, const std::vector<TrackRun>& runs) {
  QRgb* line = line_.data() + size_t(row) * size_t(width);
  std::fill(line, line + width, background_);
  for (const TrackRun& run : runs) {
    const auto* tile = reinterpret_cast<const QRgb*>(tiles_[size_t(run.kind)].constScanLine(row));
    if (spanPattern(run.kind) == Qt::SolidPattern)
      std::fill(line + run.begin, line + run.end, tile[0]);
    else
      for (int x = run.begin; x < run.end; ++x) line[x] = tile[(left + x) % kTile];
    if (run.place != kManySpans && run.end - run.begin >= 4) line[run.end - 1] = background_;
  }
}

void LaneRaster::paint(QImage& image, const QRect& area, const std::vector<TrackRun>& runs) {
  const int top = std::max(0, area.top()), bottom = std::min(image.height() - 1, area.bottom());
  if (top > bottom || area.width() <= 0) return;
  line_.resize(size_t(kTile) * size_t(area.width()));
  for (int row = 0; row < kTile; ++row) fillLine(row, area.left(), area.width(), runs);
  for (int y = top; y <= bottom; ++y)
    std::memcpy(image.scanLine(y) + size_t(area.left()) * sizeof(QRgb),
                line_.data() + size_t((y - area.top()) % kTile) * size_t(area.width()),
                size_t(area.width()) * sizeof(QRgb));
}

void paintKind(QPainter& painter, const QRectF& area, SpanKind kind, const QPalette& palette) {
  painter.fillRect(area, laneColour(kind, palette));
  const Qt::BrushStyle pattern = spanPattern(kind);
  if (pattern == Qt::SolidPattern || area.width() < 3) return;
  painter.setPen(QPen(laneHatch(kind, palette), 0.8));
  if (pattern != Qt::FDiagPattern) paintHatch(painter, area, false);
  if (pattern != Qt::BDiagPattern) paintHatch(painter, area, true);
}

void paintRuns(QPainter& painter, const QRectF& area, double column,
               const std::vector<TrackRun>& runs, const QPalette& palette) {
  for (const TrackRun& run : runs) {
    double width = (run.end - run.begin) * column;
    if (run.place != kManySpans && run.end - run.begin >= 4) width -= std::min(1.0, column);
    paintKind(painter, {area.x() + run.begin * column, area.y(), width, area.height()}, run.kind,
              palette);
  }
}

}  // namespace meshplan::gui
