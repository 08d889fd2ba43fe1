// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QComboBox>
#include <QScrollArea>

#include "gui/models/mesh_cells.h"
#include "gui/selection.h"
#include "gui/session.h"

namespace meshplan::gui {

/// The matrix itself. Click selects a rank, a row's name its stage; the groups of the rank under
/// the mouse light up.
class MeshMatrix : public QWidget {
  Q_OBJECT

 public:
  MeshMatrix(Session& session, Selection& selection, QWidget* parent = nullptr);

  void colourBy(MeshCells::ColourBy by);
  const MeshCells& cells() const { return cells_; }
  /// Where a rank is drawn.
  QRectF cell(int64_t rank) const;
  QSize sizeHint() const override;
  int heightForWidth(int width) const override;
  /// The whole matrix onto anything, in this widget's coordinates.
  void paint(QPainter& painter);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  bool event(QEvent* event) override;

 private:
  void show();
  int64_t rankAt(QPointF at) const;  // -1: none
  int64_t stageNameAt(QPointF at) const;
  double headerWidth() const;
  double headerHeight() const;
  double sideFor(double width) const;
  double side() const;
  double gap() const;
  void paintHeaders(QPainter& painter);
  void paintCells(QPainter& painter);
  void paintGroups(QPainter& painter);
  void paintLink(QPainter& painter, const MeshLink& link, double share);
  QColor colourOf(int64_t rank) const;

  Session& session_;
  Selection& selection_;
  MeshCells cells_;
  MeshCells::ColourBy by_ = MeshCells::ColourBy::stage;
  int64_t hovered_ = -1;
};

/// The device mesh of the shown plan, with what its colours mean.
class PlacementView : public QWidget {
  Q_OBJECT

 public:
  PlacementView(Session& session, Selection& selection, QWidget* parent = nullptr);

 private:
  MeshMatrix* matrix_;
};

}  // namespace meshplan::gui
