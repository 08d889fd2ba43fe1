// SPDX-License-Identifier: Apache-2.0
#include "gui/views/model_view.h"

#include <QHeaderView>
#include <QShortcut>
#include <QSplitter>
#include <QVBoxLayout>

namespace meshplan::gui {

ModelView::ModelView(Session& session, Selection& selection, QWidget* parent)
    : QWidget(parent),
      session_(session),
      selection_(selection),
      view_(new QTreeView(this)),
      find_(new QLineEdit(this)),
      graph_(new GraphView(model_, selection, this)) {
  setObjectName("ModelView");
  setAccessibleName(tr("Model"));
  find_->setObjectName("findOperator");
  find_->setAccessibleName(tr("Find an operator"));
  find_->setPlaceholderText(tr("Find an operator or module (Ctrl+F)"));
  find_->setClearButtonEnabled(true);
  view_->setObjectName("moduleTree");
  view_->setAccessibleName(tr("Modules"));
  view_->setModel(&model_);
  view_->setUniformRowHeights(true);
  view_->setAlternatingRowColors(true);
  view_->setSelectionMode(QAbstractItemView::ExtendedSelection);
  auto* left = new QWidget(this);
  auto* rows = new QVBoxLayout(left);
  rows->setContentsMargins(0, 0, 0, 0);
  rows->addWidget(find_);
  rows->addWidget(view_, 1);
  auto* split = new QSplitter(Qt::Horizontal, this);
  split->addWidget(left);
  split->addWidget(graph_);
  split->setSizes({1200, 1000});
  split->setChildrenCollapsible(false);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->addWidget(split);
  auto* shortcut = new QShortcut(QKeySequence::Find, this);
  connect(shortcut, &QShortcut::activated, find_, qOverload<>(&QWidget::setFocus));
  connect(find_, &QLineEdit::textChanged, this, &ModelView::find);
  connect(find_, &QLineEdit::returnPressed, this, [this] { find(find_->text()); });
  connect(view_, &QTreeView::expanded, this, &ModelView::drawGraph);
  connect(view_, &QTreeView::collapsed, this, &ModelView::drawGraph);
  connect(view_->selectionModel(), &QItemSelectionModel::selectionChanged, this, [this] {
    if (selecting_) return;
    std::vector<OpId> operators;
    for (const QModelIndex& index : view_->selectionModel()->selectedRows()) {
      const auto& below = model_.nodes()[size_t(ModuleTreeModel::nodeOf(index))].operators;
      operators.insert(operators.end(), below.begin(), below.end());
    }
    selection_.setOperators(std::move(operators));
  });
  connect(graph_, &GraphView::expandPressed, this, &ModelView::toggle);
  connect(&selection_, &Selection::operatorsChanged, this, &ModelView::selectInTree);
  connect(&session_, &Session::documentChanged, this, &ModelView::showDocument);
  connect(&session_, &Session::shownChanged, this, &ModelView::showPlan);
  showDocument();
  showPlan();
}

/// The same model on another cluster stays expanded as it is.
void ModelView::showDocument() {
  const auto& document = session_.document();
  const Planning* planning = document ? &document->planning() : nullptr;
  if (planning == shownModel_) return;
  shownModel_ = planning;
  model_.showDocument(document);
  if (!document) return graph_->showNothing();
  for (const int node : worthExpanding(model_.nodes())) view_->expand(model_.indexOf(node));
  view_->header()->resizeSections(QHeaderView::ResizeToContents);
  drawGraph();
}

void ModelView::showPlan() {
  if (!session_.document()) return;
  model_.showPlan(session_.shown());
  view_->viewport()->update();
  view_->header()->resizeSections(QHeaderView::ResizeToContents);
  drawGraph();
}

void ModelView::drawGraph() {
  if (!session_.document()) return;
  std::set<int> expanded;
  for (size_t n = 0; n < model_.nodes().size(); ++n)
    if (view_->isExpanded(model_.indexOf(static_cast<int>(n))))
      expanded.insert(static_cast<int>(n));
  graph_->show(session_.document()->model(), expanded);
}

void ModelView::toggle(int node) {
  const QModelIndex index = model_.indexOf(node);
  view_->setExpanded(index, !view_->isExpanded(index));
}

void ModelView::find(const QString& name) {
  if (name.isEmpty() || model_.nodes().empty()) return;
  const Graph& graph = session_.document()->model().graph;
  const auto& nodes = model_.nodes();
  const int from =
      view_->currentIndex().isValid() ? ModuleTreeModel::nodeOf(view_->currentIndex()) : 0;
  const auto count = static_cast<int>(nodes.size());
  for (int step = find_->hasFocus() && !find_->isModified() ? 1 : 0; step < count; ++step) {
    const int n = (from + step) % count;
    const ModuleNode& node = nodes[size_t(n)];
    const bool found =
        node.name.contains(name, Qt::CaseInsensitive) ||
        (node.isOperator && QString::fromStdString(graph.op(node.operators.front()).name)
                                .contains(name, Qt::CaseInsensitive));
    if (!found) continue;
    view_->setCurrentIndex(model_.indexOf(n));
    view_->scrollTo(model_.indexOf(n));
    return;
  }
}

void ModelView::selectInTree() {
  selecting_ = true;
  QItemSelection rows;
  std::set<int> leaves;
  for (OpId op : selection_.operators()) leaves.insert(model_.leafOf(op));
  for (int leaf : leaves)
    rows.select(model_.indexOf(leaf), model_.indexOf(leaf, ModuleTreeModel::kColumns - 1));
  if (leaves.size() <= 64)
    view_->selectionModel()->select(rows, QItemSelectionModel::ClearAndSelect);
  if (leaves.size() == 1) view_->scrollTo(model_.indexOf(*leaves.begin()));
  selecting_ = false;
}

}  // namespace meshplan::gui
