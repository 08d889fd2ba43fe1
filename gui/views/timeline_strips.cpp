// SPDX-License-Identifier: Apache-2.0
#include "gui/views/timeline_strips.h"

#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>
#include <cmath>

#include "app/human.h"
#include "gui/models/span_text.h"
#include "gui/views/lane_raster.h"
#include "gui/views/timeline_paint.h"

namespace meshplan::gui {
namespace {

QString seconds(double t) {
  return QString::fromStdString(secondsText(Seconds(t)));
}

void setUp(QWidget* strip, const QString& name, const QString& accessible) {
  strip->setObjectName(name);
  strip->setAccessibleName(accessible);
  strip->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
  strip->setMouseTracking(true);
}

template <class Strip>
void followState(Strip* strip, TimelineState& state) {
  const auto redraw = qOverload<>(&QWidget::update);
  QObject::connect(&state, &TimelineState::sceneChanged, strip, redraw);
  QObject::connect(&state.window(), &TimeWindow::changed, strip, redraw);
  QObject::connect(&state.selection(), &Selection::ranksChanged, strip, redraw);
  QObject::connect(&state.selection(), &Selection::rangeChanged, strip, redraw);
}

void paintRangeOn(QPainter& painter, const QRectF& area, const TimeScale& scale,
                  const TimelineState& state) {
  const auto& range = state.selection().range();
  if (!range) return;
  QColor colour = painter.background().color();
  colour.setAlpha(70);
  const double left = std::max(area.left(), scale.xOf(range->begin.value));
  const double right = std::min(area.right(), scale.xOf(range->end.value));
  if (right > left) painter.fillRect(QRectF(left, area.top(), right - left, area.height()), colour);
}

// How long the range is, in its middle.
void paintRangeLength(QPainter& painter, const QRectF& area, const TimeScale& scale,
                      const TimelineState& state, const QPalette& palette) {
  const auto& range = state.selection().range();
  if (!range || scale.begin > range->end.value || scale.end < range->begin.value) return;
  const QString text = seconds((range->end - range->begin).value);
  const double width = painter.fontMetrics().horizontalAdvance(text) + 12;
  const double left = std::max(area.left(), scale.xOf(range->begin.value));
  const double right = std::min(area.right(), scale.xOf(range->end.value));
  const QRectF box(std::clamp((left + right - width) / 2, area.left(), area.right() - width), 1,
                   width, area.height() - 3);
  painter.fillRect(box, palette.color(QPalette::Highlight));
  painter.setPen(palette.color(QPalette::HighlightedText));
  painter.drawText(box, Qt::AlignCenter, text);
}

}  // namespace

TimelineRuler::TimelineRuler(TimelineState& state, QWidget* parent)
    : QWidget(parent), state_(state) {
  setUp(this, QStringLiteral("timelineRuler"), tr("Time axis"));
  followState(this, state);
}

QSize TimelineRuler::sizeHint() const {
  return {200, fontMetrics().height() + 10};
}

void TimelineRuler::paintEvent(QPaintEvent*) {
  if (!state_.scene()) return;
  QPainter painter(this);
  painter.setBackground(palette().color(QPalette::Highlight));
  const TimeScale scale = state_.scale(width());
  const QRectF area(scale.x, 0, scale.width, height());
  paintRangeOn(painter, area, scale, state_);
  paintRuler(painter, area, scale, palette());
  paintRangeLength(painter, area, scale, state_, palette());
  painter.setPen(palette().color(QPalette::PlaceholderText));
  painter.drawText(QRectF(10, 0, scale.x - 16, height() - 2), Qt::AlignLeft | Qt::AlignBottom,
                   tr("%1 in sight").arg(seconds(state_.window().length())));
}

double TimelineRuler::timeAt(const QMouseEvent& event) const {
  return std::clamp(state_.scale(width()).timeAt(event.position().x()), 0.0,
                    state_.scene() ? state_.scene()->tracks.stepTime() : 0.0);
}

void TimelineRuler::mousePressEvent(QMouseEvent* event) {
  from_ = timeAt(*event);
}

void TimelineRuler::mouseMoveEvent(QMouseEvent* event) {
  if (!(event->buttons() & Qt::LeftButton) || !state_.scene()) return;
  const double to = timeAt(*event);
  if (to != from_)
    state_.selection().setRange(
        TimeRange{Seconds(std::min(from_, to)), Seconds(std::max(from_, to))});
}

TimelineMinimap::TimelineMinimap(TimelineState& state, QWidget* parent)
    : QWidget(parent), state_(state) {
  setUp(this, QStringLiteral("timelineMinimap"), tr("The whole step, with the part in sight"));
  followState(this, state);
  connect(&state, &TimelineState::sceneChanged, this, [this] { image_ = QImage(); });
}

QSize TimelineMinimap::sizeHint() const {
  return {200, 3 * fontMetrics().height()};
}

TimeScale TimelineMinimap::scale() const {
  TimeScale out = state_.scale(width());
  out.begin = 0;
  out.end = state_.window().stepTime();
  return out;
}

void TimelineMinimap::render() {
  const double ratio = devicePixelRatioF();
  const TimeScale all = scale();
  image_ = QImage(int(all.width * ratio), int((height() - 4) * ratio), QImage::Format_RGB32);
  image_.setDevicePixelRatio(ratio);
  image_.fill(palette().color(QPalette::Base));
  std::vector<const Track*> computing;
  for (const Track& track : state_.scene()->tracks.tracks())
    if (track.stream == Stream::compute && !track.measured) computing.push_back(&track);
  LaneRaster raster(palette());
  std::vector<TrackRun> runs;
  // With more tracks than pixel lines, the last one on a line is seen.
  for (size_t i = 0; i < computing.size(); ++i) {
    const int top = int(i * size_t(image_.height()) / computing.size());
    const int next = int((i + 1) * size_t(image_.height()) / computing.size());
    computing[i]->spans.runs(all.begin, all.end, image_.width(), runs);
    for (TrackRun& run : runs) run.place = kManySpans;
    const int line = next - top >= 4 ? next - top - 1 : std::max(1, next - top);
    raster.paint(image_, QRect(0, top, image_.width(), line), runs);
  }
}

void TimelineMinimap::paintEvent(QPaintEvent*) {
  if (!state_.scene()) return;
  const TimeScale all = scale();
  const double ratio = devicePixelRatioF();
  if (image_.size() != QSize(int(all.width * ratio), int((height() - 4) * ratio))) render();
  QPainter painter(this);
  painter.setBackground(palette().color(QPalette::Highlight));
  painter.drawImage(QPointF(all.x, 2), image_);
  const QRectF area(all.x, 2, all.width, height() - 4);
  paintRangeOn(painter, area, all, state_);
  const double left = all.xOf(state_.window().begin()), right = all.xOf(state_.window().end());
  QColor shade = palette().color(QPalette::Window);
  shade.setAlpha(170);
  painter.fillRect(QRectF(area.left(), 2, left - area.left(), area.height()), shade);
  painter.fillRect(QRectF(right, 2, area.right() - right, area.height()), shade);
  painter.setPen(QPen(palette().color(QPalette::Highlight), 2));
  painter.drawRect(QRectF(left + 1, 2, std::max(3.0, right - left - 2), area.height() - 1));
  painter.setPen(palette().color(QPalette::PlaceholderText));
  painter.drawText(QRectF(10, 0, all.x - 16, height()), Qt::AlignLeft | Qt::AlignVCenter,
                   tr("step %1").arg(seconds(all.end)));
}

void TimelineMinimap::mousePressEvent(QMouseEvent* event) {
  if (!state_.scene()) return;
  const double t = scale().timeAt(event->position().x());
  TimeWindow& window = state_.window();
  if (t < window.begin() || t > window.end()) window.pan(t - (window.begin() + window.end()) / 2);
  grabbed_ = t - window.begin();
}

void TimelineMinimap::mouseMoveEvent(QMouseEvent* event) {
  if (!(event->buttons() & Qt::LeftButton) || !state_.scene()) return;
  TimeWindow& window = state_.window();
  window.pan(scale().timeAt(event->position().x()) - grabbed_ - window.begin());
}

void TimelineMinimap::changeEvent(QEvent* event) {
  if (event->type() == QEvent::PaletteChange) image_ = QImage();
  QWidget::changeEvent(event);
}

TimelineMemory::TimelineMemory(TimelineState& state, QWidget* parent)
    : QWidget(parent), state_(state) {
  setUp(this, QStringLiteral("timelineMemory"), tr("Memory over time"));
  followState(this, state);
}

QSize TimelineMemory::sizeHint() const {
  return {200, 6 * fontMetrics().height()};
}

QRectF TimelineMemory::plot() const {
  const TimeScale scale = state_.scale(width());
  return {scale.x, 3, scale.width, height() - 4.0};
}

void TimelineMemory::paintEvent(QPaintEvent*) {
  if (!state_.scene()) return;
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  painter.setBackground(palette().color(QPalette::Highlight));
  const TimeScale scale = state_.scale(width());
  const size_t rankClass = state_.memoryRankClass();
  paintMemory(painter, plot(), scale, *state_.scene(), rankClass, palette());
  paintRangeOn(painter, plot(), scale, state_);
  paintMemoryHeader(painter, QRectF(0, 0, scale.x, height()), *state_.scene(), rankClass,
                    palette());
}

void TimelineMemory::mouseMoveEvent(QMouseEvent* event) {
  const size_t rankClass = state_.memoryRankClass();
  if (!state_.scene() || rankClass >= state_.scene()->memory.size()) return;
  const MemoryCurve& curve = state_.scene()->memory[rankClass];
  if (curve.empty() || !plot().contains(event->position())) return QToolTip::hideText();
  const double t = state_.scale(width()).timeAt(event->position().x());
  QToolTip::showText(event->globalPosition().toPoint(),
                     tr("%1 at %2").arg(QString::fromStdString(bytesText(curve.at(t))), seconds(t)),
                     this);
}

TimelineLegend::TimelineLegend(QWidget* parent) : QWidget(parent) {
  setUp(this, QStringLiteral("timelineLegend"), tr("Colours and patterns of the timeline"));
}

QSize TimelineLegend::sizeHint() const {
  return {200, heightForWidth(10000)};
}

int TimelineLegend::heightForWidth(int width) const {
  QImage scratch(1, 1, QImage::Format_RGB32);
  QPainter painter(&scratch);
  painter.setFont(font());
  return int(std::ceil(paintLegend(painter, QRectF(10, 2, width - 12, 1), palette()).height())) + 4;
}

// Layouts that know of heights for widths give none to what spans columns.
void TimelineLegend::resizeEvent(QResizeEvent*) {
  setFixedHeight(heightForWidth(width()));
}

void TimelineLegend::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  paintLegend(painter, QRectF(10, 2, width() - 12, height()), palette());
}

}  // namespace meshplan::gui
