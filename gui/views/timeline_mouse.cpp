// SPDX-License-Identifier: Apache-2.0
#include <QApplication>
#include <QMouseEvent>
#include <QScrollBar>
#include <QToolTip>
#include <QWheelEvent>
#include <algorithm>
#include <cmath>

#include "gui/models/span_text.h"
#include "gui/views/timeline_lanes.h"

// The mouse on the lanes of timeline_lanes.h.

namespace meshplan::gui {

std::optional<SpanPlace> TimelineLanes::placeAt(const QPointF& at) const {
  if (!state_.scene() || !plot().contains(at)) return std::nullopt;
  const size_t track = layout_.laneAt(at.y() + scroll_);
  if (track >= layout_.lanes.size()) return std::nullopt;
  const TimeScale s = scale();
  const SpanTrack& spans = state_.scene()->tracks.tracks()[track].spans;
  size_t place = spans.at(s.timeAt(at.x()));
  // What is thinner than a pixel is met by coming near.
  if (place == spans.size() || rectOf({track, place}).width() <= 1)
    place = spans.longestIn(s.timeAt(at.x() - 1), s.timeAt(at.x() + 2));
  if (place == spans.size()) return std::nullopt;
  return SpanPlace{track, place};
}

double TimelineLanes::pointedTime() const {
  if (pointer_ && plot().contains(*pointer_)) return scale().timeAt(pointer_->x());
  return (state_.window().begin() + state_.window().end()) / 2;
}

void TimelineLanes::select(const std::optional<SpanPlace>& place) {
  Selection& selection = state_.selection();
  state_.setChosen(place);
  if (!state_.ofOpenModel()) return;
  if (!place) {
    selection.setRange(std::nullopt);
    selection.setOperators({});
    return;
  }
  const Span* span = state_.scene()->span(*place);
  const OpId op =
      span ? state_.scene()->forwardOperator(state_.scene()->instruction(*span)) : OpId();
  selection.setOperators(op.valid() ? std::vector<OpId>{op} : std::vector<OpId>{});
  selection.setRanks(state_.scene()->ranks[state_.scene()->track(*place).rankClass]);
}

void TimelineLanes::click(const QPointF& at) {
  if (!state_.scene()) return;
  if (at.x() >= scale().x) return select(placeAt(at));
  if (!state_.ofOpenModel()) return;
  for (const LaneBlock& block : layout_.blocks)
    if (const double y = at.y() + scroll_; y >= block.y && y < block.y + block.height) {
      const std::vector<int64_t>& ranks = state_.scene()->ranks[block.rankClass];
      const bool already = state_.selection().ranks() == ranks;
      return state_.selection().setRanks(already ? std::vector<int64_t>() : ranks);
    }
  state_.selection().setRanks({});
}

void TimelineLanes::mousePressEvent(QMouseEvent* event) {
  setFocus(Qt::MouseFocusReason);
  pressed_ = event->position();
  pressedTime_ = scale().timeAt(pressed_.x());
  pressedBegin_ = state_.window().begin();
  pressedScroll_ = scroll_;
  const bool pans = event->button() == Qt::MiddleButton || event->modifiers() & Qt::ShiftModifier;
  drag_ = pans ? Drag::pan : event->button() == Qt::LeftButton ? Drag::press : Drag::none;
  if (pans) setCursor(Qt::ClosedHandCursor);
}

void TimelineLanes::drag(const QPointF& to) {
  if (drag_ == Drag::pan) {
    const double left = pressedBegin_ - (to.x() - pressed_.x()) * scale().secondsPerPixel();
    state_.window().pan(left - state_.window().begin());
    setScrolled(pressedScroll_ - int(to.y() - pressed_.y()));
    return;
  }
  const bool far = std::abs(to.x() - pressed_.x()) >= QApplication::startDragDistance();
  if (drag_ == Drag::press && far && pressed_.x() >= scale().x) drag_ = Drag::range;
  if (drag_ != Drag::range) return;
  const double most = state_.scene()->tracks.stepTime();
  const double a = std::clamp(pressedTime_, 0.0, most);
  const double b = std::clamp(scale().timeAt(to.x()), 0.0, most);
  if (a != b)
    state_.selection().setRange(TimeRange{Seconds(std::min(a, b)), Seconds(std::max(a, b))});
}

void TimelineLanes::hover(QMouseEvent* event) {
  const std::optional<SpanPlace> place = placeAt(event->position());
  if (place != hovered_) {
    hovered_ = place;
    update();
  }
  if (place)
    QToolTip::showText(event->globalPosition().toPoint(), spanTip(*state_.scene(), *place), this);
  else
    QToolTip::hideText();
}

void TimelineLanes::mouseMoveEvent(QMouseEvent* event) {
  pointer_ = event->position();
  if (!state_.scene()) return;
  if (event->buttons() == Qt::NoButton)
    hover(event);
  else
    drag(event->position());
}

void TimelineLanes::mouseReleaseEvent(QMouseEvent* event) {
  if (drag_ == Drag::press) click(event->position());
  if (drag_ == Drag::pan) unsetCursor();
  drag_ = Drag::none;
}

void TimelineLanes::wheelEvent(QWheelEvent* event) {
  const QPointF turned = event->angleDelta();
  const double turn = turned.y() != 0 ? turned.y() : turned.x();
  if (event->modifiers() & Qt::ControlModifier)
    state_.window().zoom(scale().timeAt(std::max(scale().x, event->position().x())),
                         std::pow(0.8, turn / 120));
  else if (event->modifiers() & Qt::ShiftModifier || turned.y() == 0)
    state_.window().pan(-turn / 120 * 0.1 * state_.window().length());
  else
    setScrolled(scroll_ - int(turned.y() / 120 * 3 * fontMetrics().height()));
  event->accept();
}

void TimelineLanes::scrollWith(QScrollBar& bar) {
  const auto range = [this, &bar] {
    bar.setRange(0, std::max(0, contentHeight() - height()));
    bar.setVisible(bar.maximum() > 0);
    bar.setPageStep(height());
    bar.setSingleStep(fontMetrics().height());
    setScrolled(scrolled());
  };
  connect(this, &TimelineLanes::contentHeightChanged, &bar, range);
  connect(this, &TimelineLanes::resized, &bar, range);
  connect(this, &TimelineLanes::scrolledChanged, &bar, &QScrollBar::setValue);
  connect(&bar, &QScrollBar::valueChanged, this, &TimelineLanes::setScrolled);
}

void TimelineLanes::leaveEvent(QEvent*) {
  pointer_.reset();
  hovered_.reset();
  update();
}

void TimelineLanes::resizeEvent(QResizeEvent* event) {
  QWidget::resizeEvent(event);
  redraw();
  Q_EMIT resized();
}

void TimelineLanes::changeEvent(QEvent* event) {
  if (event->type() == QEvent::PaletteChange) redraw();
  if (event->type() == QEvent::FontChange) resetScene();
  QWidget::changeEvent(event);
}

}  // namespace meshplan::gui
