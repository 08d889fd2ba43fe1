// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QImage>
#include <QWidget>

#include "gui/views/timeline_state.h"

namespace meshplan::gui {

/// The strips above and below the lanes, over the same time axis.

/// Times; a drag selects a range.
class TimelineRuler : public QWidget {
  Q_OBJECT

 public:
  TimelineRuler(TimelineState& state, QWidget* parent);
  QSize sizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;

 private:
  double timeAt(const QMouseEvent& event) const;

  TimelineState& state_;
  double from_ = 0;
};

/// The compute streams over the whole step, with the part in sight; a drag moves it.
class TimelineMinimap : public QWidget {
  Q_OBJECT

 public:
  TimelineMinimap(TimelineState& state, QWidget* parent);
  QSize sizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void changeEvent(QEvent* event) override;

 private:
  void render();
  TimeScale scale() const;

  TimelineState& state_;
  QImage image_;  // null: to be drawn again
  double grabbed_ = 0;
};

/// The memory curve of one rank class.
class TimelineMemory : public QWidget {
  Q_OBJECT

 public:
  TimelineMemory(TimelineState& state, QWidget* parent);
  QSize sizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;

 private:
  QRectF plot() const;

  TimelineState& state_;
};

/// Colours and patterns of the kinds.
class TimelineLegend : public QWidget {
  Q_OBJECT

 public:
  explicit TimelineLegend(QWidget* parent);
  QSize sizeHint() const override;
  int heightForWidth(int width) const override;

 protected:
  void paintEvent(QPaintEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
};

}  // namespace meshplan::gui
