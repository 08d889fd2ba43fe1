// SPDX-License-Identifier: Apache-2.0
#include "gui/views/timeline_paint.h"

#include <QCoreApplication>
#include <QPainterPath>
#include <algorithm>
#include <cmath>

#include "app/human.h"
#include "gui/models/span_text.h"
#include "gui/views/lane_raster.h"

namespace meshplan::gui {
namespace {

constexpr double kPadding = 6;

QString rankText(const TimelineScene& scene, size_t rankClass) {
  const std::vector<int64_t>& ranks = scene.ranks[rankClass];
  if (ranks.empty()) return {};
  const QString list = QString::fromStdString(rankListText(ranks));
  return ranks.size() == 1 ? QCoreApplication::translate("Timeline", "rank %1").arg(list)
                           : QCoreApplication::translate("Timeline", "ranks %1").arg(list);
}

QColor weak(const QPalette& palette) {
  return palette.color(QPalette::PlaceholderText);
}

void paintBlockName(QPainter& painter, const TimelineScene& scene, const LaneBlock& block,
                    const QPalette& palette) {
  const QFontMetricsF metrics(painter.font());
  const auto stages = int64_t(scene.program->rankClasses.size());
  painter.fillRect(QRectF(0, block.y, 4, block.height),
                   stageColour(scene.program->rankClasses[block.rankClass].stage, stages));
  const QFont plain = painter.font();
  QFont bold = plain;
  bold.setBold(true);
  painter.setFont(bold);
  painter.setPen(palette.color(QPalette::WindowText));
  const QPointF first(4 + kPadding, block.y + metrics.ascent() + 2);
  if (block.height >= metrics.height() - 2)
    painter.drawText(first, rankClassName(scene, block.rankClass));
  painter.setFont(plain);
  painter.setPen(weak(palette));
  if (block.height >= 2 * metrics.height())
    painter.drawText(first + QPointF(0, metrics.height()), rankText(scene, block.rankClass));
}

// What the number of a call's micro-batch needs, without laying it out.
double leastWidth(const QPainter& painter, const TimelineScene& scene, const Track& track,
                  const CallBlock& block) {
  const Call& call = scene.program->rankClasses[track.rankClass].calls[block.call];
  const int digits = call.microBatch < 10 ? 1 : 1 + int(std::log10(call.microBatch));
  return digits * QFontMetricsF(painter.font()).averageCharWidth();
}

}  // namespace

double laneHeaderWidth(const QFontMetricsF& metrics, const TimelineScene& scene) {
  double block = 0, lane = 0;
  for (size_t c = 0; c < scene.ranks.size(); ++c)
    block = std::max({block, metrics.horizontalAdvance(rankText(scene, c)),
                      1.15 * metrics.horizontalAdvance(rankClassName(scene, c))});
  for (const Track& track : scene.tracks.tracks())
    lane = std::max(lane, metrics.horizontalAdvance(trackName(scene, track)));
  return std::ceil(4 + block + lane + 4 * kPadding);
}

void paintLaneHeaders(QPainter& painter, const TimelineScene& scene, const LaneLayout& layout,
                      double width, const std::function<bool(size_t)>& selected,
                      const QPalette& palette) {
  const QFontMetricsF metrics(painter.font());
  for (const LaneBlock& block : layout.blocks) {
    if (selected(block.rankClass)) {
      QColor back = palette.color(QPalette::Highlight);
      back.setAlpha(60);
      painter.fillRect(QRectF(0, block.y, width, block.height), back);
    }
    paintBlockName(painter, scene, block, palette);
    painter.setPen(palette.color(QPalette::WindowText));
    for (size_t t = block.firstTrack; t < block.firstTrack + block.tracks; ++t) {
      const Lane& lane = layout.lanes[t];
      if (lane.height < metrics.ascent()) continue;
      painter.drawText(QRectF(0, lane.y - 4, width - kPadding, lane.height + 8),
                       Qt::AlignRight | Qt::AlignVCenter,
                       trackName(scene, scene.tracks.tracks()[t]));
    }
  }
}

int tickCount(const QFontMetricsF& metrics, double width) {
  return std::max(1, int(width / (9 * metrics.averageCharWidth() + 3 * kPadding)));
}

void paintRuler(QPainter& painter, const QRectF& area, const TimeScale& scale,
                const QPalette& palette) {
  const QFontMetricsF metrics(painter.font());
  for (const TimeTick& tick : timeTicks(scale.begin, scale.end, tickCount(metrics, area.width()))) {
    const double x = scale.xOf(tick.time);
    painter.setPen(QPen(weak(palette), 1));
    painter.drawLine(QLineF(x, area.bottom() - 5, x, area.bottom()));
    painter.setPen(palette.color(QPalette::WindowText));
    if (x + 3 + metrics.horizontalAdvance(tick.text) <= area.right())
      painter.drawText(QPointF(x + 3, area.bottom() - metrics.descent() - 2), tick.text);
  }
}

void paintGrid(QPainter& painter, const QRectF& area, const TimeScale& scale,
               const QColor& colour) {
  painter.setPen(QPen(colour, 1));
  for (const TimeTick& tick :
       timeTicks(scale.begin, scale.end, tickCount(QFontMetricsF(painter.font()), area.width()))) {
    const double x = std::floor(scale.xOf(tick.time)) + 0.5;
    painter.drawLine(QLineF(x, area.top(), x, area.bottom()));
  }
}

QSizeF paintLegend(QPainter& painter, const QRectF& area, const QPalette& palette) {
  const QFontMetricsF metrics(painter.font());
  const double box = std::round(0.8 * metrics.height()), line = metrics.height() + 4;
  QPointF at = area.topLeft();
  double right = area.left();
  for (int k = 0; k < kSpanKinds; ++k) {
    const QString name = spanKindName(SpanKind(k));
    const double width = 1.6 * box + metrics.horizontalAdvance(name) + 3 * kPadding;
    if (at.x() > area.left() && at.x() + width > area.right())
      at = QPointF(area.left(), at.y() + line);
    paintKind(painter, {at.x(), at.y() + (line - box) / 2, 1.6 * box, box}, SpanKind(k), palette);
    painter.setPen(palette.color(QPalette::WindowText));
    painter.drawText(QRectF(at.x() + 1.6 * box + kPadding, at.y(), width, line), Qt::AlignVCenter,
                     name);
    at.rx() += width;
    right = std::max(right, at.x());
  }
  return {right - area.left(), at.y() + line - area.top()};
}

const LaneLabels::Label& LaneLabels::label(const QPainter& painter, quint64 key,
                                           const Names& names) {
  const auto found = texts_.find(key);
  if (found != texts_.end()) return *found;
  const QFontMetricsF metrics(painter.font());
  const auto [whole, brief] = names();
  Label made{QStaticText(whole), QStaticText(brief), metrics.horizontalAdvance(whole),
             metrics.horizontalAdvance(brief)};
  made.whole.setTextFormat(Qt::PlainText);
  made.brief.setTextFormat(Qt::PlainText);
  return *texts_.insert(key, made);
}

QRectF LaneLabels::draw(QPainter& painter, const Label& label, const QRectF& area,
                        const QColor& colour, const QColor& back) const {
  const bool whole = label.wholeWidth + kPadding / 2 <= area.width();
  if (!whole && label.briefWidth + kPadding / 2 > area.width()) return {};
  const double width = whole ? label.wholeWidth : label.briefWidth;
  const double height = QFontMetricsF(painter.font()).height();
  const QRectF box(std::round(area.center().x() - width / 2),
                   std::round(area.center().y() - height / 2), width, height);
  if (back.isValid())
    painter.fillRect(box.adjusted(-2, 0, 2, 0).intersected(area.adjusted(0, 1, 0, -1)), back);
  painter.setPen(colour);
  painter.drawStaticText(box.topLeft(), whole ? label.whole : label.brief);
  return box;
}

void LaneLabels::paintCall(QPainter& painter, const TimelineScene& scene, const Track& track,
                           const CallBlock& block, const QRectF& area) {
  const RankClass& rankClass = scene.program->rankClasses[track.rankClass];
  const Routine& routine = scene.program->routines[rankClass.calls[block.call].routine];
  const QColor back = spanColour(spanKindOf(routine, Instruction()));
  const quint64 key = quint64(1) << 63 | quint64(track.rankClass) << 40 | block.call;
  const Label& name = label(painter, key, [&] {
    const QString whole = callName(scene, track, block);
    const QString number = QString::number(rankClass.calls[block.call].microBatch);
    return std::pair(whole, routine.kind == Routine::Kind::update ? whole : number);
  });
  const QRectF box = draw(painter, name, area, textOn(back), back);
  if (box.isValid()) taken_.push_back(box.adjusted(-2, 0, 2, 0));
}

void LaneLabels::paintCalls(QPainter& painter, const TimelineScene& scene, const Track& track,
                            const QRectF& area, const TimeScale& scale, const QPalette& palette) {
  const auto first = std::partition_point(track.calls.begin(), track.calls.end(),
                                          [&](const CallBlock& c) { return c.end <= scale.begin; });
  for (auto c = first; c != track.calls.end() && c->start < scale.end; ++c) {
    const double left = std::max(area.left(), scale.xOf(c->start));
    const double right = std::min(area.right(), scale.xOf(c->end));
    const double perSpan = (scale.xOf(c->end) - scale.xOf(c->start)) / c->spans;
    if (right - left < 5 || perSpan > 40) continue;
    painter.fillRect(QRectF(std::round(right) - 1, area.top(), 1, area.height()),
                     palette.color(QPalette::Base));
    if (right - left >= leastWidth(painter, scene, track, *c))
      paintCall(painter, scene, track, *c, {left, area.top(), right - left, area.height()});
  }
}

void LaneLabels::paint(QPainter& painter, const TimelineScene& scene, size_t trackIndex,
                       const QRectF& area, const TimeScale& scale, double column,
                       const std::vector<TrackRun>& runs, const QPalette& palette) {
  if (area.height() < QFontMetricsF(painter.font()).ascent()) return;
  const Track& track = scene.tracks.tracks()[trackIndex];
  taken_.clear();
  paintCalls(painter, scene, track, area, scale, palette);
  auto taken = taken_.begin();
  for (const TrackRun& run : runs) {
    const QRectF place(area.x() + run.begin * column, area.y(), (run.end - run.begin) * column,
                       area.height());
    if (run.place == kManySpans || place.width() < 40) continue;
    while (taken != taken_.end() && taken->right() < place.left()) ++taken;
    if (taken != taken_.end() && taken->left() < place.right()) continue;
    const Span* span = scene.span({trackIndex, run.place});
    const quint64 key =
        span ? quint64(scene.call(*span).routine) << 32 | span->instruction : ~quint64(0);
    const Label& name = label(painter, key, [&] {
      const QString whole = spanName(scene, {trackIndex, run.place});
      return std::pair(whole, whole.section(QLatin1Char('.'), -1));
    });
    draw(painter, name, place,
         span ? textOn(spanColour(run.kind)) : palette.color(QPalette::WindowText),
         spanPattern(run.kind) == Qt::SolidPattern ? QColor() : laneColour(run.kind, palette));
  }
}

void paintErrors(QPainter& painter, const Track& track, const QRectF& area, const TimeScale& scale,
                 double column, const std::vector<TrackRun>& runs, const QPalette& palette) {
  const double height = std::max(3.0, area.height() / 5);
  for (const TrackRun& run : runs) {
    const double x = area.x() + run.begin * column, width = (run.end - run.begin) * column;
    const PredictedTime time = predictedIn(track, scale.timeAt(x), scale.timeAt(x + width));
    if (run.kind == SpanKind::bubble || time.measured <= 0) continue;
    const QRectF strip(x, area.bottom() - height, width, height);
    painter.fillRect(strip, palette.color(QPalette::Base));
    painter.fillRect(strip, errorColour(time.predicted / time.measured - 1));
  }
}

void paintFlow(QPainter& painter, const QRectF& send, const QRectF& receive, const QPen& pen) {
  const bool down = receive.center().y() > send.center().y();
  const QPointF a(send.left(), down ? send.bottom() : send.top());
  const QPointF b(receive.right(), down ? receive.top() : receive.bottom());
  const double bend = std::max(3.0, (b.x() - a.x()) / 2);
  QPainterPath path(a);
  path.cubicTo(a + QPointF(bend, 0), b - QPointF(bend, 0), b);
  painter.setPen(pen);
  painter.setBrush(Qt::NoBrush);
  painter.drawPath(path);
  painter.fillRect(QRectF(b.x() - 2, b.y() - 2, 4, 4), pen.color());
}

void paintMarked(QPainter& painter, const Track& track, const std::vector<uint32_t>& places,
                 const QRectF& area, const TimeScale& scale, const QColor& colour) {
  const SpanTrack& spans = track.spans;
  auto i = std::partition_point(places.begin(), places.end(),
                                [&](uint32_t p) { return spans.end(p) <= scale.begin; });
  painter.setPen(QPen(colour, 2));
  painter.setBrush(Qt::NoBrush);
  while (i != places.end() && spans.start(*i) < scale.end) {
    const double left = std::max(area.left() - 4, scale.xOf(spans.start(*i)));
    double right = std::min(area.right() + 4, scale.xOf(spans.end(*i)));
    bool single = true;
    // The next one that begins a pixel further, however many there are before it.
    while (++i != places.end() && scale.xOf(spans.start(*i)) < right + 1) {
      single = false;
      right = std::max(right, std::min(area.right() + 4, scale.xOf(spans.end(*i))));
    }
    if (right - left >= 5 && single)
      painter.drawRect(QRectF(left + 1, area.top() + 1, right - left - 2, area.height() - 2));
    else
      for (const double y : {area.top(), area.bottom() - 2})
        painter.fillRect(QRectF(left, y, std::max(1.0, right - left), 2), colour);
  }
}

}  // namespace meshplan::gui
