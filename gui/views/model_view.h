// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QLineEdit>
#include <QTreeView>

#include "gui/selection.h"
#include "gui/session.h"
#include "gui/views/graph_view.h"

namespace meshplan::gui {

/// The model as a tree of modules, repeated layers folded, and beside it the graph of what the tree
/// shows expanded. Ctrl+F finds an operator or a module by its name.
class ModelView : public QWidget {
  Q_OBJECT

 public:
  ModelView(Session& session, Selection& selection, QWidget* parent = nullptr);

  const ModuleTreeModel& tree() const { return model_; }
  GraphView& graph() { return *graph_; }
  /// Expands or collapses a module in tree and graph.
  void toggle(int node);

 private:
  void showDocument();
  void showPlan();
  void drawGraph();
  void find(const QString& name);
  void selectInTree();

  Session& session_;
  Selection& selection_;
  ModuleTreeModel model_;
  QTreeView* view_;
  QLineEdit* find_;
  GraphView* graph_;
  const Planning* shownModel_ = nullptr;
  bool selecting_ = false;
};

}  // namespace meshplan::gui
