// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QAbstractItemModel>
#include <vector>

#include "gui/models/operator_facts.h"

namespace meshplan::gui {

/// A module of the model, or an operator. Repeated layers are one node that stands for all of them.
struct ModuleNode {
  QString name;
  int parent = -1;
  std::vector<int> children;
  std::vector<OpId> operators;  // all below it, in all repetitions; the first is its own instance's
  int64_t repeat = 1;           // of this node in its parent
  bool isOperator = false;
};

/// The forward operators as modules of modules, by their names; nodes[0] is the model.
std::vector<ModuleNode> moduleTree(const TrainingModel& model, const QString& modelName);

/// Equal blocks that follow each other, which the tree folds: the run of every block, by the run's
/// first block.
std::vector<size_t> layerRuns(const BlockChain& chain);

/// The modules to show expanded at first, the root among them: the largest ones, as long as the
/// whole stays easy to take in.
std::vector<int> worthExpanding(const std::vector<ModuleNode>& tree);

/// The tree for a view: name, kind, parameters, time of the step and how it is split.
class ModuleTreeModel : public QAbstractItemModel {
  Q_OBJECT

 public:
  enum Column { name, kind, parameters, time, split };
  static constexpr int kColumns = split + 1;

  using QAbstractItemModel::QAbstractItemModel;

  void showDocument(std::shared_ptr<const Document> document);
  void showPlan(std::shared_ptr<const ShownPlan> shown);
  const std::vector<ModuleNode>& nodes() const { return nodes_; }
  const OperatorFacts* facts() const { return shown_ ? &facts_ : nullptr; }
  static int nodeOf(const QModelIndex& index) { return static_cast<int>(index.internalId()); }
  QModelIndex indexOf(int node, int column = 0) const;
  /// The leaf of an operator.
  int leafOf(OpId op) const { return leaves_[op.index()]; }
  QString toolTip(int node) const;

  QModelIndex index(int row, int column, const QModelIndex& parent = {}) const override;
  QModelIndex parent(const QModelIndex& index) const override;
  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  QVariant display(const ModuleNode& node, int column) const;
  QVariant number(const ModuleNode& node, int column) const;
  QVariant swatch(const ModuleNode& node) const;
  Seconds timeOf(const ModuleNode& node) const;
  int64_t parametersOf(const ModuleNode& node) const;

  std::shared_ptr<const Document> document_;
  std::shared_ptr<const ShownPlan> shown_;
  OperatorFacts facts_;
  std::vector<ModuleNode> nodes_;
  std::vector<int> leaves_, rows_;
};

}  // namespace meshplan::gui
