// SPDX-License-Identifier: Apache-2.0
#include <QCoreApplication>
#include <algorithm>
#include <cmath>
#include <optional>

#include "app/human.h"
#include "gui/models/span_text.h"
#include "gui/views/lane_raster.h"
#include "gui/views/timeline_paint.h"

// The memory curve of timeline_paint.h.

namespace meshplan::gui {
namespace {

QString tr(const char* text) {
  return QCoreApplication::translate("Timeline", text);
}
QString bytes(Bytes b) {
  return QString::fromStdString(bytesText(b));
}

std::optional<Bytes> limitOf(const TimelineScene& scene) {
  if (!scene.owner) return std::nullopt;
  return scene.owner->document->context().memoryLimit;
}

double topOf(const TimelineScene& scene, size_t rankClass) {
  const double peak = double(scene.timeline->rankClasses[rankClass].peak.value);
  const auto limit = limitOf(scene);
  const bool near = limit && double(limit->value) < 1.6 * peak;
  return std::max(1.0, 1.25 * std::max(peak, near ? double(limit->value) : 0.0));
}

QPolygonF curveIn(const QRectF& area, const TimeScale& scale, const MemoryCurve& curve,
                  double top) {
  QPolygonF polygon{area.bottomLeft()};
  const auto y = [&](Bytes b) { return area.bottom() - double(b.value) / top * area.height(); };
  for (double x = area.left(); x < area.right(); ++x) {
    const double level = y(curve.most(scale.timeAt(x), scale.timeAt(x + 1)));
    if (polygon.size() < 2 || polygon.back().y() != level)
      polygon << QPointF(x, polygon.back().y()) << QPointF(x, level);
  }
  return polygon << QPointF(area.right(), polygon.back().y()) << area.bottomRight();
}

void paintPeak(QPainter& painter, const QRectF& area, const TimeScale& scale,
               const RankClassSummary& summary, double top, const QPalette& palette) {
  const QPointF at(scale.xOf(summary.peakTime.value),
                   area.bottom() - double(summary.peak.value) / top * area.height());
  if (at.x() < area.left() || at.x() > area.right()) return;
  painter.setBrush(worseColour());
  painter.setPen(QPen(palette.color(QPalette::Base), 1));
  painter.drawEllipse(at, 4, 4);
  const QString text = tr("peak %1").arg(bytes(summary.peak));
  const QFontMetricsF metrics(painter.font());
  const double width = metrics.horizontalAdvance(text);
  const double x = at.x() + 8 + width < area.right() ? at.x() + 8 : at.x() - 8 - width;
  const QRectF box(x - 3, std::max(area.top(), at.y() - metrics.height()), width + 6,
                   metrics.height());
  painter.fillRect(box, palette.color(QPalette::Base));
  painter.setPen(palette.color(QPalette::WindowText));
  painter.drawText(box, Qt::AlignCenter, text);
}

// At the side where the peak is not.
void paintLimit(QPainter& painter, const QRectF& area, Bytes limit, double top, double peakX,
                const QPalette& palette) {
  if (double(limit.value) > top) return;
  const double y = area.bottom() - double(limit.value) / top * area.height();
  painter.setPen(QPen(worseColour(), 1.5, Qt::DashLine));
  painter.drawLine(QLineF(area.left(), y, area.right(), y));
  const QFontMetricsF metrics(painter.font());
  const QString text = tr("limit %1").arg(bytes(limit));
  const double width = metrics.horizontalAdvance(text) + 6;
  const bool atLeft = peakX > area.center().x();
  const QRectF box(atLeft ? area.left() + 2 : area.right() - width - 2,
                   std::max(area.top(), y - metrics.height() - 1), width, metrics.height());
  painter.fillRect(box, palette.color(QPalette::Base));
  painter.drawText(box, Qt::AlignCenter, text);
}

}  // namespace

void paintMemory(QPainter& painter, const QRectF& area, const TimeScale& scale,
                 const TimelineScene& scene, size_t rankClass, const QPalette& palette) {
  painter.fillRect(area, palette.color(QPalette::Base));
  const QColor back = palette.color(QPalette::Base);
  paintGrid(painter, area, scale, blended(back, palette.color(QPalette::WindowText), 0.12));
  if (rankClass >= scene.memory.size() || scene.memory[rankClass].empty()) {
    painter.setPen(palette.color(QPalette::PlaceholderText));
    painter.drawText(area, Qt::AlignCenter, tr("no memory curve was recorded"));
    return;
  }
  const double top = topOf(scene, rankClass);
  const QColor line = palette.color(QPalette::PlaceholderText);
  painter.setPen(QPen(line, 1.5));
  painter.setBrush(blended(back, line, 0.3));
  painter.drawPolygon(curveIn(area, scale, scene.memory[rankClass], top));
  const RankClassSummary& summary = scene.timeline->rankClasses[rankClass];
  if (const auto limit = limitOf(scene))
    paintLimit(painter, area, *limit, top, scale.xOf(summary.peakTime.value), palette);
  paintPeak(painter, area, scale, summary, top, palette);
}

void paintMemoryHeader(QPainter& painter, const QRectF& area, const TimelineScene& scene,
                       size_t rankClass, const QPalette& palette) {
  if (rankClass >= scene.memory.size()) return;
  const QFontMetricsF metrics(painter.font());
  QPointF at(area.left() + 10, area.top() + metrics.ascent() + 4);
  painter.setPen(palette.color(QPalette::WindowText));
  painter.drawText(at, tr("Memory"));
  painter.setPen(palette.color(QPalette::PlaceholderText));
  for (const QString& text : {rankClassName(scene, rankClass),
                              tr("peak at %1")
                                  .arg(QString::fromStdString(secondsText(
                                      scene.timeline->rankClasses[rankClass].peakTime)))}) {
    at.ry() += metrics.height();
    if (at.y() < area.bottom()) painter.drawText(at, text);
  }
}

}  // namespace meshplan::gui
