// SPDX-License-Identifier: Apache-2.0
#include "gui/views/lag_paint.h"

#include <QCoreApplication>
#include <QPolygonF>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "gui/palette.h"
#include "gui/text.h"
#include "gui/views/lane_raster.h"
#include "gui/views/timeline_paint.h"

namespace meshplan::gui {
namespace {

constexpr double kPadding = 6;
constexpr double kLeastLine = 1e-9;  // seconds
constexpr double kFlat = 0.75;       // pixels

QString tr(const char* text) {
  return QCoreApplication::translate("StepLag", text);
}

// Seconds on the pixels of an area, with room for labels.
struct ValueScale {
  double low = 0, high = 0;
  QRectF area;

  void hold(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  double yOf(double value) const {
    const double range = high > low ? high - low : 1;
    return area.bottom() - 4 - (value - low) / range * (area.height() - 8);
  }
};

struct Look {
  SpanKind kind;
  Qt::PenStyle line;
};
Look lookOf(Spending spending) {
  switch (spending) {
    case Spending::work:
      return {SpanKind::backward, Qt::SolidLine};
    case Spending::recompute:
      return {SpanKind::recompute, Qt::DashDotDotLine};
    case Spending::optimizer:
      return {SpanKind::update, Qt::DotLine};
    case Spending::exposed:
      return {SpanKind::collective, Qt::DashLine};
    case Spending::idle:
      break;
  }
  return {SpanKind::bubble, Qt::DashDotLine};
}

// From the last point before to the first after.
double behindAt(const std::vector<LagPoint>& points, double t) {
  const auto after = std::partition_point(points.begin(), points.end(),
                                          [&](const LagPoint& p) { return p.time < t; });
  if (after == points.begin())
    return after->time > 0 ? after->behind * std::max(0.0, t) / after->time : 0;
  if (after == points.end()) return points.back().behind;
  const LagPoint& before = *(after - 1);
  const double length = after->time - before.time;
  const double at = length > 0 ? (t - before.time) / length : 1;
  return before.behind + at * (after->behind - before.behind);
}

// Grey where nothing computes.
QColor tintOf(const std::vector<LagPoint>& points, double begin, double end, const QColor& back) {
  auto p = std::partition_point(points.begin(), points.end(),
                                [&](const LagPoint& q) { return q.time <= begin; });
  double first = 0, second = 0;
  for (; p != points.end() && p->time - p->second < end; ++p) {
    first += p->first;
    second += p->second;
    if (p->time >= end) break;
  }
  if (second <= 0) return spanColour(SpanKind::bubble);
  // Opaque colours are filled five times as fast.
  const QColor colour = errorColour(first / second - 1);
  return blended(back, colour, colour.alphaF());
}

// Labels at the left: what the highest and the lowest line of the area mean.
void paintValues(QPainter& painter, const ValueScale& values, const QPalette& palette) {
  const QFontMetricsF metrics(painter.font());
  const auto paint = [&](double value, double baseline) {
    const QString words = signedText(Seconds(value));
    const QRectF box(values.area.left() + 3, baseline - metrics.ascent(),
                     metrics.horizontalAdvance(words) + 4, metrics.height());
    QColor back = palette.color(QPalette::Base);
    back.setAlpha(190);
    painter.fillRect(box, back);
    painter.setPen(palette.color(QPalette::PlaceholderText));
    painter.drawText(QPointF(box.left() + 2, baseline), words);
  };
  if (values.high > 0) paint(values.high, values.area.top() + metrics.ascent() + 1);
  if (values.low < 0) paint(values.low, values.area.bottom() - metrics.descent() - 1);
}

void paintZero(QPainter& painter, const ValueScale& values, const QPalette& palette) {
  painter.setPen(QPen(palette.color(QPalette::PlaceholderText), 1));
  const double y = std::round(values.yOf(0)) + 0.5;
  painter.drawLine(QLineF(values.area.left(), y, values.area.right(), y));
}

void paintBehind(QPainter& painter, const QRectF& area, const TimeScale& scale,
                 const std::vector<LagPoint>& points, const QPalette& palette) {
  ValueScale values{0, 0, area};
  std::vector<double> behind;
  for (double x = area.left(); x < area.right(); ++x) {
    behind.push_back(behindAt(points, scale.timeAt(x + 1)));
    values.hold(behind.back());
  }
  QPolygonF line;
  for (size_t i = 0; i < behind.size(); ++i) {
    const double x = area.left() + double(i), y = values.yOf(behind[i]), zero = values.yOf(0);
    painter.fillRect(
        QRectF(x, std::min(y, zero), 1, std::abs(y - zero)),
        tintOf(points, scale.timeAt(x), scale.timeAt(x + 1), palette.color(QPalette::Base)));
    line << QPointF(x, y);
  }
  paintZero(painter, values, palette);
  painter.setPen(QPen(palette.color(QPalette::WindowText), 1));
  painter.setBrush(Qt::NoBrush);
  painter.drawPolyline(line);
  paintValues(painter, values, palette);
}

struct EndLabel {
  QString words;
  QColor colour;
  double y = 0;
};

// One below the other, near where their lines end.
void spread(std::vector<EndLabel>& labels, double line, const QRectF& area) {
  std::sort(labels.begin(), labels.end(),
            [](const EndLabel& a, const EndLabel& b) { return a.y < b.y; });
  double least = area.top();
  for (EndLabel& label : labels) {
    label.y = std::max(label.y - line / 2, least);
    least = label.y + line;
  }
  double most = area.bottom();
  for (auto label = labels.rbegin(); label != labels.rend(); ++label) {
    label->y = std::min(label->y, most - line);
    most = label->y;
  }
}

void paintEndLabels(QPainter& painter, std::vector<EndLabel> labels, const QRectF& area,
                    const QPalette& palette) {
  const QFontMetricsF metrics(painter.font());
  spread(labels, metrics.height(), area);
  for (const EndLabel& label : labels) {
    const double width = metrics.horizontalAdvance(label.words) + 2 * kPadding + 8;
    const QRectF box(area.right() - width - 2, label.y, width, metrics.height());
    QColor back = palette.color(QPalette::Base);
    back.setAlpha(215);
    painter.fillRect(box, back);
    painter.fillRect(QRectF(box.left() + 3, box.center().y() - 4, 8, 8), label.colour);
    painter.setPen(palette.color(QPalette::WindowText));
    painter.drawText(box.adjusted(8 + kPadding, 0, 0, 0), Qt::AlignLeft | Qt::AlignVCenter,
                     label.words);
  }
}

// Without the points between which it is flat: dashes are drawn point by point.
QPolygonF lineOf(const std::vector<double>& columns, const ValueScale& values) {
  QPolygonF line;
  QPointF before;
  for (size_t i = 0; i < columns.size(); ++i) {
    const QPointF at(values.area.left() + double(i), values.yOf(columns[i]));
    const bool first = line.isEmpty(), last = i + 1 == columns.size();
    if (first || last || std::abs(at.y() - line.back().y()) >= kFlat) {
      if (!first && before != line.back()) line << before;
      line << at;
    }
    before = at;
  }
  return line;
}

// A line with its last value as a label.
class Lines {
 public:
  Lines(QPainter& painter, const ValueScale& values) : painter_(painter), values_(values) {}

  void add(const std::vector<double>& columns, const QString& name, const QPen& pen) {
    painter_.setPen(pen);
    painter_.setBrush(Qt::NoBrush);
    painter_.drawPolyline(lineOf(columns, values_));
    labels_.push_back({name + ' ' + signedText(Seconds(columns.back())), pen.color(),
                       values_.yOf(columns.back())});
  }
  std::vector<EndLabel> takeLabels() { return std::move(labels_); }

 private:
  QPainter& painter_;
  const ValueScale& values_;
  std::vector<EndLabel> labels_;
};

void paintSpendings(QPainter& painter, const QRectF& area, const TimeScale& scale,
                    const StepLag& lag, const QPalette& palette) {
  std::array<std::vector<double>, kSpendings> columns;
  std::vector<double> sums;
  ValueScale values{0, 0, area};
  for (double x = area.left(); x < area.right(); ++x) {
    const TimeBySpending at = lag.difference(scale.timeAt(x + 1));
    for (size_t k = 0; k < kSpendings; ++k) columns[k].push_back(at[k]), values.hold(at[k]);
    sums.push_back(std::accumulate(at.begin(), at.end(), 0.0));
    values.hold(sums.back());
  }
  if (sums.empty()) return;
  paintZero(painter, values, palette);
  Lines lines(painter, values);
  for (size_t k = 0; k < kSpendings; ++k) {
    const Look look = lookOf(Spending(k));
    if (std::any_of(columns[k].begin(), columns[k].end(),
                    [](double v) { return std::abs(v) > kLeastLine; }))
      lines.add(columns[k], spendingName(Spending(k)), QPen(spanColour(look.kind), 2, look.line));
  }
  lines.add(sums, tr("behind by"), QPen(palette.color(QPalette::WindowText), 1.5));
  paintValues(painter, values, palette);
  paintEndLabels(painter, lines.takeLabels(), area, palette);
}

}  // namespace

QString spendingName(Spending spending) {
  switch (spending) {
    case Spending::work:
      return tr("forward and backward");
    case Spending::recompute:
      return tr("recomputation");
    case Spending::optimizer:
      return tr("optimizer");
    case Spending::exposed:
      return tr("exposed communication");
    case Spending::idle:
      break;
  }
  return tr("idle");
}

void paintLag(QPainter& painter, const QRectF& area, const TimeScale& scale, const StepLag& lag,
              const QPalette& palette) {
  const QColor back = palette.color(QPalette::Base);
  painter.fillRect(area, back);
  paintGrid(painter, area, scale, blended(back, palette.color(QPalette::WindowText), 0.12));
  painter.setClipRect(area);
  if (lag.points.empty())
    paintSpendings(painter, area, scale, lag, palette);
  else
    paintBehind(painter, area, scale, lag.points, palette);
  painter.setClipping(false);
}

void paintLagHeader(QPainter& painter, const QRectF& area, const StepLag& lag,
                    const QPalette& palette) {
  const QFontMetricsF metrics(painter.font());
  QPointF at(area.left() + 10, area.top() + metrics.ascent() + 4);
  painter.setPen(palette.color(QPalette::WindowText));
  painter.drawText(at, tr("Difference"));
  painter.setPen(palette.color(QPalette::PlaceholderText));
  const QStringList words = lag.points.empty()
                                ? QStringList{tr("second is behind"), tr("at equal work")}
                                : QStringList{tr("second is behind")};
  for (const QString& line : words) {
    at.ry() += metrics.height();
    if (at.y() < area.bottom()) painter.drawText(at, line);
  }
}

QString lagTip(const StepLag& lag, double time) {
  const TimeBySpending difference = lag.difference(time);
  const double behind = lag.points.empty()
                            ? std::accumulate(difference.begin(), difference.end(), 0.0)
                            : behindAt(lag.points, time);
  QString tip = behind >= 0 ? tr("<b>%1 behind</b> the first step at %2 of the second")
                            : tr("<b>%1 ahead</b> of the first step at %2 of the second");
  tip = tip.arg(text(Seconds(std::abs(behind))), text(Seconds(time)));
  tip += tr("<br>With the same share of its work done it has spent");
  for (size_t k = 0; k < kSpendings; ++k)
    if (std::abs(difference[k]) > kLeastLine)
      tip += QStringLiteral("<br>%1 %2")
                 .arg(signedText(Seconds(difference[k])), spendingName(Spending(k)));
  return tip;
}

}  // namespace meshplan::gui
