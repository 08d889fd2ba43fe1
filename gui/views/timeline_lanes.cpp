// SPDX-License-Identifier: Apache-2.0
#include "gui/views/timeline_lanes.h"

#include <QMouseEvent>
#include <algorithm>
#include <cmath>

#include "gui/models/span_text.h"

// What is drawn; timeline_mouse.cpp has what the mouse does.

namespace meshplan::gui {
namespace {

QColor faded(QColor colour, int alpha) {
  colour.setAlpha(alpha);
  return colour;
}

}  // namespace

TimelineLanes::TimelineLanes(TimelineState& state, QWidget* parent)
    : QWidget(parent), state_(state) {
  setObjectName(QStringLiteral("timelineLanes"));
  setAccessibleName(tr("Tracks of the timeline"));
  setMouseTracking(true);
  setAttribute(Qt::WA_OpaquePaintEvent);
  setMinimumHeight(4 * fontMetrics().height());
  connect(&state, &TimelineState::sceneChanged, this, &TimelineLanes::resetScene);
  connect(&state, &TimelineState::chosenChanged, this, qOverload<>(&QWidget::update));
  connect(&state.window(), &TimeWindow::changed, this, &TimelineLanes::redraw);
  connect(&state.selection(), &Selection::ranksChanged, this, &TimelineLanes::redraw);
  connect(&state.selection(), &Selection::rangeChanged, this, qOverload<>(&QWidget::update));
  connect(&state.selection(), &Selection::operatorsChanged, this, [this] {
    markSelected();
    redraw();
  });
}

void TimelineLanes::redraw() {
  stale_ = true;
  update();
}

void TimelineLanes::resetScene() {
  hovered_.reset();
  critical_.reset();
  marked_.clear();
  labels_.clear();
  layout_ = {};
  runs_.clear();
  if (state_.scene()) {
    layout_ = layOutLanes(*state_.scene(), std::round(1.6 * fontMetrics().height()));
    markSelected();
    runs_.resize(layout_.lanes.size());
  }
  setScrolled(scroll_);
  Q_EMIT contentHeightChanged();
  redraw();
}

void TimelineLanes::markSelected() {
  if (!state_.scene()) return;
  marked_ = placesOf(*state_.scene(),
                     state_.ofOpenModel() ? state_.selection().operators() : std::vector<OpId>());
}

int TimelineLanes::contentHeight() const {
  return int(std::ceil(layout_.height));
}

void TimelineLanes::setScrolled(int y) {
  const int wanted = std::clamp(y, 0, std::max(0, contentHeight() - height()));
  if (wanted == scroll_) return;
  scroll_ = wanted;
  Q_EMIT scrolledChanged(scroll_);
  redraw();
}

void TimelineLanes::revealTrack(size_t track) {
  const Lane& lane = layout_.lanes[track];
  if (lane.y < scroll_)
    setScrolled(int(lane.y) - 8);
  else if (lane.y + lane.height > scroll_ + height())
    setScrolled(int(lane.y + lane.height) - height() + 8);
}

void TimelineLanes::setCritical(std::optional<MarkedPlaces> places) {
  critical_ = std::move(places);
  redraw();
}

void TimelineLanes::setFlowsShown(bool shown) {
  flowsShown_ = shown;
  update();
}

void TimelineLanes::setMarks(std::vector<TimeRange> marks) {
  marks_ = std::move(marks);
  update();
}

void TimelineLanes::setEmptyText(const QString& text) {
  empty_ = text;
  update();
}

QRectF TimelineLanes::plot() const {
  const TimeScale s = scale();
  return {s.x, 0, s.width, double(height())};
}

QRectF TimelineLanes::laneRect(size_t track) const {
  const TimeScale s = scale();
  return {s.x, layout_.lanes[track].y - scroll_, s.width, layout_.lanes[track].height};
}

QRectF TimelineLanes::rectOf(const SpanPlace& place) const {
  const TimeScale s = scale();
  const QRectF lane = laneRect(place.track);
  const double left = s.xOf(state_.scene()->start(place)),
               right = s.xOf(state_.scene()->end(place));
  return {left, lane.y(), std::max(1.0, right - left), lane.height()};
}

void TimelineLanes::renderLane(size_t track, LaneRaster& raster) {
  const double ratio = image_.devicePixelRatio();
  const QRectF lane = laneRect(track);
  const QRect area(int(std::lround(lane.x() * ratio)), int(std::lround(lane.y() * ratio)),
                   int(std::lround(lane.width() * ratio)), int(std::lround(lane.height() * ratio)));
  state_.scene()->tracks.tracks()[track].spans.runs(state_.window().begin(), state_.window().end(),
                                                    area.width(), runs_[track]);
  raster.paint(image_, area, runs_[track]);
}

void TimelineLanes::render() {
  const double ratio = devicePixelRatioF();
  const QSize size = (QSizeF(this->size()) * ratio).toSize();
  if (image_.size() != size) image_ = QImage(size, QImage::Format_RGB32);
  image_.setDevicePixelRatio(ratio);
  image_.fill(palette().color(QPalette::Window));
  LaneRaster raster(palette());
  for (size_t t = 0; t < layout_.lanes.size(); ++t)
    if (const QRectF lane = laneRect(t); lane.bottom() > 0 && lane.top() < height())
      renderLane(t, raster);
  QPainter painter(&image_);
  painter.setFont(font());
  paintLaneTexts(painter);
  stale_ = false;
}

void TimelineLanes::paintLaneTexts(QPainter& painter) {
  const TimelineScene& scene = *state_.scene();
  const TimeScale s = scale();
  painter.setClipRect(plot());
  paintGrid(painter, plot(), s, faded(palette().color(QPalette::WindowText), 28));
  const double column = 1 / image_.devicePixelRatio();
  for (size_t t = 0; t < layout_.lanes.size(); ++t) {
    const QRectF lane = laneRect(t);
    if (lane.bottom() <= 0 || lane.top() >= height()) continue;
    labels_.paint(painter, scene, t, lane, s, column, runs_[t], palette());
    const Track& track = scene.tracks.tracks()[t];
    if (!track.predicted.empty()) paintErrors(painter, track, lane, s, column, runs_[t], palette());
    paintMarked(painter, track, marked_[t], lane, s, palette().color(QPalette::WindowText));
  }
  painter.setClipping(false);
  painter.translate(0, -scroll_);
  const std::vector<size_t> selected = state_.selectedRankClasses();
  paintLaneHeaders(
      painter, scene, layout_, s.x,
      [&](size_t c) { return std::find(selected.begin(), selected.end(), c) != selected.end(); },
      palette());
}

void TimelineLanes::paintRange(QPainter& painter) const {
  const auto& range = state_.selection().range();
  if (!range) return;
  const TimeScale s = scale();
  const QRectF area = plot();
  const double left = std::clamp(s.xOf(range->begin.value), area.left(), area.right());
  const double right = std::clamp(s.xOf(range->end.value), area.left(), area.right());
  const QColor shade = faded(palette().color(QPalette::Window), 120);
  painter.fillRect(QRectF(area.left(), 0, left - area.left(), area.height()), shade);
  painter.fillRect(QRectF(right, 0, area.right() - right, area.height()), shade);
  const QColor accent = palette().color(QPalette::Highlight);
  painter.setPen(QPen(accent, 1.5));
  for (const double x : {left, right}) painter.drawLine(QLineF(x, 0, x, area.height()));
}

void TimelineLanes::paintMarks(QPainter& painter) const {
  const TimeScale s = scale();
  const QColor colour = spanColour(SpanKind::collective);
  for (size_t i = 0; i < marks_.size(); ++i) {
    const double left = s.xOf(marks_[i].begin.value), right = s.xOf(marks_[i].end.value);
    painter.fillRect(QRectF(left, 0, std::max(1.0, right - left), height()), faded(colour, 40));
    painter.setPen(QPen(colour, 1, Qt::DashLine));
    for (const double x : {left, right}) painter.drawLine(QLineF(x, 0, x, height()));
    painter.setPen(palette().color(QPalette::WindowText));
    painter.drawText(QPointF(left + 3, height() - 4), QStringLiteral("M%1").arg(i + 1));
  }
}

void TimelineLanes::paintFlows(QPainter& painter) const {
  const std::vector<Flow>& flows = state_.scene()->flows;
  const TimeScale s = scale();
  const auto last = std::partition_point(flows.begin(), flows.end(),
                                         [&](const Flow& f) { return f.begin < s.end; });
  const auto inSight = [&](const Flow& f) { return f.end > s.begin; };
  const bool all = flowsShown_ && std::count_if(flows.begin(), last, inSight) <= kFewFlows;
  const auto of = [](const Flow& f, const std::optional<SpanPlace>& p) {
    return p && (f.send == *p || f.receive == *p);
  };
  for (auto f = flows.begin(); f != last; ++f) {
    const bool strong = of(*f, state_.chosen()) || of(*f, hovered_);
    if (!inSight(*f) || !(all || strong)) continue;
    const QRectF send = rectOf(f->send), receive = rectOf(f->receive);
    if (std::max(send.bottom(), receive.bottom()) < 0 ||
        std::min(send.top(), receive.top()) > height())
      continue;
    // Wider lines are drawn as shapes, which takes ten times as long.
    paintFlow(painter, send, receive,
              strong ? QPen(palette().color(QPalette::WindowText), 2)
                     : QPen(spanColour(SpanKind::transfer).darker(110), 1));
  }
}

void TimelineLanes::paintOutlines(QPainter& painter) const {
  const auto outline = [&](const SpanPlace& place, double width) {
    painter.setPen(QPen(palette().color(QPalette::WindowText), width));
    painter.setBrush(Qt::NoBrush);
    const QRectF rect = rectOf(place).intersected(plot().adjusted(-4, -4, 4, 4));
    painter.drawRect(rect.adjusted(0.5, 0.5, -0.5, -0.5));
  };
  if (hovered_) outline(*hovered_, 1);
  if (state_.chosen()) outline(*state_.chosen(), 3);
}

void TimelineLanes::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  if (!state_.scene()) {
    painter.fillRect(rect(), palette().color(QPalette::Window));
    painter.setPen(palette().color(QPalette::PlaceholderText));
    painter.drawText(rect(), Qt::AlignCenter | Qt::TextWordWrap, empty_);
    return;
  }
  if (stale_ || image_.size() != (QSizeF(size()) * devicePixelRatioF()).toSize()) render();
  painter.drawImage(QPointF(0, 0), image_);
  painter.setClipRect(plot());
  if (critical_)
    for (size_t t = 0; t < layout_.lanes.size(); ++t)
      paintMarked(painter, state_.scene()->tracks.tracks()[t], (*critical_)[t], laneRect(t),
                  scale(), QColor(0xd5, 0x5e, 0x00));
  paintRange(painter);
  paintMarks(painter);
  painter.setRenderHint(QPainter::Antialiasing);
  paintFlows(painter);
  painter.setRenderHint(QPainter::Antialiasing, false);
  paintOutlines(painter);
}

}  // namespace meshplan::gui
