// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QGraphicsView>

#include "gui/jobs.h"
#include "gui/models/graph_layout.h"
#include "gui/selection.h"

namespace meshplan::gui {

/// The expanded part of the model as a graph, coloured by stage. Double click on a module expands
/// it. Ctrl+wheel and + and - zoom, F shows everything.
class GraphView : public QGraphicsView {
  Q_OBJECT

 public:
  GraphView(const ModuleTreeModel& tree, Selection& selection, QWidget* parent = nullptr);

  /// Lays it out beside, then draws it. More than kMostNodes are not drawn but told.
  void show(const TrainingModel& model, const std::set<int>& expanded);
  void showNothing();
  /// The colours and texts of the shown plan.
  void refresh();
  void fit();
  size_t nodeCount() const { return items_.size(); }

  static constexpr size_t kMostNodes = 600;

 Q_SIGNALS:
  void expandPressed(int node);
  void drawn();

 protected:
  void wheelEvent(QWheelEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
  void drawForeground(QPainter* painter, const QRectF& rect) override;
  void changeEvent(QEvent* event) override;

 private:
  class NodeItem;

  void draw(const VisibleGraph& graph, const std::vector<QSizeF>& sizes, const GraphLayout& layout);
  void addEdges(const VisibleGraph& graph, const GraphLayout& layout);
  QColor edgeColour() const;
  void markSelected();
  QString secondLine(int node) const;
  QSizeF sizeOf(int node) const;
  void say(const QString& text);

  const ModuleTreeModel& tree_;
  Selection& selection_;
  Jobs jobs_;
  QGraphicsScene scene_;
  std::vector<NodeItem*> items_;
  std::vector<QGraphicsPathItem*> edges_;
  QString message_;
};

}  // namespace meshplan::gui
