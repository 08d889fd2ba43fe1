// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QPainterPath>
#include <QPointF>
#include <QSizeF>
#include <set>
#include <vector>

#include "gui/models/module_tree.h"

namespace meshplan::gui {

/// What is drawn of a model: the modules that are not expanded and the operators of those that are,
/// with the tensors between them.
struct VisibleGraph {
  struct Edge {
    size_t from = 0, to = 0;  // into nodes
    Bytes bytes;
    bool operator==(const Edge&) const = default;
  };
  std::vector<int> nodes;  // of the module tree, in model order
  std::vector<Edge> edges;
};

/// `expanded` are nodes of the tree; the root always is. Tensors between repetitions of a layer are
/// left out: the layer is drawn once.
VisibleGraph visibleGraph(const TrainingModel& model, const std::vector<ModuleNode>& tree,
                          const std::set<int>& expanded);

struct GraphLayout {
  std::vector<QPointF> centres;      // of nodes
  std::vector<QPainterPath> curves;  // of edges
  QSizeF size;
};

/// Layered, top to bottom, by Graphviz's dot. `sizes` of the nodes in pixels. One at a time: the
/// library keeps global state; callers wait for each other.
GraphLayout layOut(const VisibleGraph& graph, const std::vector<QSizeF>& sizes);

}  // namespace meshplan::gui
