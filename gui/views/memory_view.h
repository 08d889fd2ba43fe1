// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QWidget>

#include "gui/selection.h"
#include "gui/session.h"

namespace meshplan::gui {

/// What fills a rank of each stage at its peak, by category, against the memory limit.
class MemoryView : public QWidget {
  Q_OBJECT

 public:
  MemoryView(Session& session, Selection& selection, QWidget* parent = nullptr);

  QSize sizeHint() const override;
  int heightForWidth(int width) const override;
  void paint(QPainter& painter);

 protected:
  void paintEvent(QPaintEvent* event) override;
  bool event(QEvent* event) override;

 private:
  int stages() const;
  double rowHeight() const;
  double left() const;
  Bytes largestPeak() const;
  bool showsLimit() const;
  double scale() const;  // pixels per byte
  double paintLegend(QPainter& painter, double width, bool measureOnly) const;
  void paintStage(QPainter& painter, int stage) const;
  QString toolTip(int stage) const;

  Session& session_;
};

}  // namespace meshplan::gui
