// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QImage>
#include <QWidget>
#include <optional>

#include "gui/views/lane_layout.h"
#include "gui/views/lane_raster.h"
#include "gui/views/timeline_paint.h"
#include "gui/views/timeline_state.h"

class QScrollBar;

namespace meshplan::gui {

/// The tracks of a timeline with their headers, and the mouse on them: click selects a span's
/// operator and ranks, drag a range, Shift+drag pans, Ctrl+wheel zooms. Spans, names and outlines
/// are kept in an image that is drawn again only when what is in sight changes; the pointer, the
/// range, flows and marks are drawn over it.
class TimelineLanes : public QWidget {
  Q_OBJECT

 public:
  TimelineLanes(TimelineState& state, QWidget* parent);

  int contentHeight() const;
  int scrolled() const { return scroll_; }
  void setScrolled(int y);
  /// The bar moves the lanes and follows them; hidden where all are in sight.
  void scrollWith(QScrollBar& bar);
  /// Scrolls until the track is in sight.
  void revealTrack(size_t track);

  /// The critical path, drawn over all; none: not shown.
  void setCritical(std::optional<MarkedPlaces> places);
  void setFlowsShown(bool shown);
  /// Ranges that the user wants to find again.
  void setMarks(std::vector<TimeRange> marks);
  void setEmptyText(const QString& text);

  const MarkedPlaces& marked() const { return marked_; }
  /// The span or bubble there, or nothing.
  std::optional<SpanPlace> placeAt(const QPointF& at) const;
  /// Of the pointer while it is over the lanes, else the middle of what is in sight.
  double pointedTime() const;
  QRectF rectOf(const SpanPlace& place) const;
  /// What a click there does.
  void select(const std::optional<SpanPlace>& place);

 Q_SIGNALS:
  void contentHeightChanged();
  void scrolledChanged(int y);
  void resized();

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mouseReleaseEvent(QMouseEvent* event) override;
  void wheelEvent(QWheelEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  void changeEvent(QEvent* event) override;

 private:
  enum class Drag { none, press, range, pan };

  void redraw();  // the image too
  void markSelected();
  void resetScene();
  void render();
  void renderLane(size_t track, LaneRaster& raster);
  void paintLaneTexts(QPainter& painter);
  void paintRange(QPainter& painter) const;
  void paintMarks(QPainter& painter) const;
  void paintFlows(QPainter& painter) const;
  void paintOutlines(QPainter& painter) const;
  void click(const QPointF& at);
  void hover(QMouseEvent* event);
  void drag(const QPointF& to);

  TimeScale scale() const { return state_.scale(width()); }
  QRectF laneRect(size_t track) const;  // on the widget
  QRectF plot() const;

  TimelineState& state_;
  LaneLayout layout_;
  LaneLabels labels_;
  QImage image_;
  bool stale_ = true;
  std::vector<std::vector<TrackRun>> runs_;  // by track, as in the image
  MarkedPlaces marked_;
  std::optional<MarkedPlaces> critical_;
  std::vector<TimeRange> marks_;
  bool flowsShown_ = true;
  QString empty_;
  int scroll_ = 0;

  Drag drag_ = Drag::none;
  QPointF pressed_;
  double pressedTime_ = 0, pressedBegin_ = 0;
  int pressedScroll_ = 0;
  std::optional<QPointF> pointer_;
  std::optional<SpanPlace> hovered_;
};

}  // namespace meshplan::gui
