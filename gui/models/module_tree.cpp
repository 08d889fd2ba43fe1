// SPDX-License-Identifier: Apache-2.0
#include "gui/models/module_tree.h"

#include <QImage>
#include <QStringList>
#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "gui/export_table.h"
#include "gui/palette.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

constexpr size_t kEasy = 24;  // rows
constexpr int kSwatch = 16;   // pixels

class TreeBuilder {
 public:
  TreeBuilder(const TrainingModel& model, const QString& modelName)
      : model_(model), runs_(layerRuns(model.chain)) {
    nodes_.push_back({modelName, -1, {}, {}, 1, false});
    for (size_t b = 0; b < model_.chain.blocks.size(); ++b) addBlock(b);
  }

  std::vector<ModuleNode> take() { return std::move(nodes_); }

 private:
  void addBlock(size_t index) {
    const Block& block = model_.chain.blocks[index];
    const Block& first = model_.chain.blocks[runs_[index]];
    if (index != runs_[index]) {  // stands with the first of its run
      for (uint32_t i = 0; i < block.size(); ++i)
        addTo(leaves_[first.begin + i], OpId(block.begin + i));
      return;
    }
    const auto count = std::count(runs_.begin(), runs_.end(), index);
    const QString prefix = count > 1 ? text(blockName(model_.graph, block)) : QString();
    for (uint32_t i = block.begin; i < block.end; ++i) addOperator(OpId(i), prefix, index, count);
  }

  void addOperator(OpId id, const QString& prefix, size_t run, int64_t repeat) {
    const Operator& op = model_.graph.op(id);
    QString module = text(op.module), name = text(op.name);
    int at = 0;
    if (!prefix.isEmpty()) {
      const QString above = prefix.section('.', 0, -2);
      at = descend(0, above.split('.', Qt::SkipEmptyParts));
      at = child(at, prefix + QStringLiteral(" ×%1").arg(run));  // beside a module of that name
      nodes_[size_t(at)].repeat = repeat;
      nodes_[size_t(at)].name = rangeText(prefix.section('.', -1), repeat);
      if (module.startsWith(prefix)) module = module.mid(prefix.size());
    }
    at = descend(at, module.split('.', Qt::SkipEmptyParts));
    const QString modules = text(op.module);
    if (!modules.isEmpty() && name.startsWith(modules + "."))
      name = name.mid(modules.size() + 1);
    else if (name == modules || name.isEmpty())
      name = text(op.def->name);
    const int leaf = add(at, name);
    nodes_[size_t(leaf)].isOperator = true;
    leaves_[id.value] = leaf;
    addTo(leaf, id);
  }

  /// "0–11" where layers are counted, else the first one's name.
  static QString rangeText(const QString& first, int64_t count) {
    bool isNumber = false;
    const qlonglong number = first.toLongLong(&isNumber);
    return isNumber ? QStringLiteral("%1–%2").arg(number).arg(number + count - 1) : first;
  }

  int descend(int at, const QStringList& names) {
    for (const QString& name : names) at = child(at, name);
    return at;
  }

  int child(int parent, const QString& name) {
    const auto [slot, isNew] = children_.try_emplace({parent, name}, 0);
    if (isNew) slot->second = add(parent, name);
    return slot->second;
  }

  int add(int parent, const QString& name) {
    const int id = static_cast<int>(nodes_.size());
    nodes_.push_back({name, parent, {}, {}, 1, false});
    nodes_[size_t(parent)].children.push_back(id);
    return id;
  }

  void addTo(int node, OpId op) {
    for (; node >= 0; node = nodes_[size_t(node)].parent)
      nodes_[size_t(node)].operators.push_back(op);
  }

  const TrainingModel& model_;
  const std::vector<size_t> runs_;
  std::vector<ModuleNode> nodes_;
  std::map<std::pair<int, QString>, int> children_;
  std::map<uint32_t, int> leaves_;
};

}  // namespace

std::vector<ModuleNode> moduleTree(const TrainingModel& model, const QString& modelName) {
  return TreeBuilder(model, modelName).take();
}

std::vector<size_t> layerRuns(const BlockChain& chain) {
  std::vector<size_t> runs(chain.blocks.size());
  for (size_t b = 0; b < runs.size(); ++b)
    runs[b] =
        b > 0 && chain.blocks[b].blockClass == chain.blocks[b - 1].blockClass ? runs[b - 1] : b;
  return runs;
}

std::vector<int> worthExpanding(const std::vector<ModuleNode>& tree) {
  std::vector<int> expanded{0};
  std::vector<int> visible = tree.empty() ? std::vector<int>() : tree[0].children;
  while (true) {
    const auto larger = [&](int a, int b) {
      const ModuleNode &x = tree[size_t(a)], &y = tree[size_t(b)];
      return x.children.empty() != y.children.empty() ? x.children.empty()
                                                      : x.operators.size() < y.operators.size();
    };
    const auto largest = std::max_element(visible.begin(), visible.end(), larger);
    if (largest == visible.end()) return expanded;
    const int node = *largest;
    const std::vector<int>& children = tree[size_t(node)].children;
    if (children.empty() || visible.size() + children.size() > kEasy) return expanded;
    visible.erase(largest);
    visible.insert(visible.end(), children.begin(), children.end());
    expanded.push_back(node);
  }
}

void ModuleTreeModel::showDocument(std::shared_ptr<const Document> document) {
  beginResetModel();
  document_ = std::move(document);
  shown_.reset();
  nodes_.clear();
  leaves_.clear();
  rows_.clear();
  if (document_) {
    nodes_ = moduleTree(document_->model(), text(document_->planning().modelName()));
    leaves_.assign(document_->model().forwardOps, 0);
    rows_.assign(nodes_.size(), 0);
    for (size_t n = 0; n < nodes_.size(); ++n) {
      if (nodes_[n].isOperator)
        for (OpId op : nodes_[n].operators) leaves_[op.index()] = static_cast<int>(n);
      for (size_t r = 0; r < nodes_[n].children.size(); ++r)
        rows_[size_t(nodes_[n].children[r])] = static_cast<int>(r);
    }
  }
  endResetModel();
}

void ModuleTreeModel::showPlan(std::shared_ptr<const ShownPlan> shown) {
  shown_ = std::move(shown);
  facts_ = shown_ ? OperatorFacts(*shown_) : OperatorFacts();
  if (!nodes_.empty()) Q_EMIT dataChanged(index(0, 0), index(0, kColumns - 1));
}

QModelIndex ModuleTreeModel::indexOf(int node, int column) const {
  return createIndex(node == 0 ? 0 : rows_[size_t(node)], column, quintptr(node));
}

QModelIndex ModuleTreeModel::index(int row, int column, const QModelIndex& parent) const {
  if (!hasIndex(row, column, parent)) return {};
  const int node = parent.isValid() ? nodes_[size_t(nodeOf(parent))].children[size_t(row)] : 0;
  return createIndex(row, column, quintptr(node));
}

QModelIndex ModuleTreeModel::parent(const QModelIndex& index) const {
  const int above = index.isValid() ? nodes_[size_t(nodeOf(index))].parent : -1;
  return above < 0 ? QModelIndex() : indexOf(above);
}

int ModuleTreeModel::rowCount(const QModelIndex& parent) const {
  if (parent.column() > 0 || nodes_.empty()) return 0;
  return parent.isValid() ? static_cast<int>(nodes_[size_t(nodeOf(parent))].children.size()) : 1;
}

int ModuleTreeModel::columnCount(const QModelIndex&) const {
  return kColumns;
}

Seconds ModuleTreeModel::timeOf(const ModuleNode& node) const {
  Seconds sum;
  for (OpId op : node.operators) sum += facts_.time(op);
  return sum / static_cast<double>(facts_.stages());
}

int64_t ModuleTreeModel::parametersOf(const ModuleNode& node) const {
  const Graph& graph = document_->model().graph;
  std::set<TensorId> seen;
  int64_t sum = 0;
  for (OpId op : node.operators)
    for (TensorId t : graph.op(op).inputs)
      if (graph.tensor(t).kind == TensorKind::parameter && seen.insert(t).second)
        sum += graph.tensor(t).type.elements();
  return sum;
}

QVariant ModuleTreeModel::display(const ModuleNode& node, int column) const {
  switch (column) {
    case name:
      return node.repeat > 1 ? QStringLiteral("%1  ×%2").arg(node.name).arg(node.repeat)
                             : node.name;
    case kind:
      return node.isOperator ? text(document_->model().graph.op(node.operators.front()).def->name)
                             : QString();
    case parameters: {
      const int64_t count = parametersOf(node);
      return count > 0 ? text(countText(static_cast<double>(count))) : QString();
    }
    case time:
      return shown_ ? percent(timeOf(node) / facts_.stepTime()) : QString();
    default:
      return shown_ && node.isOperator ? facts_.shortSplit(node.operators.front()) : QString();
  }
}

QVariant ModuleTreeModel::number(const ModuleNode& node, int column) const {
  if (column == parameters) return qlonglong(parametersOf(node));
  return column == time && shown_ ? QVariant(timeOf(node) / facts_.stepTime()) : QVariant();
}

QString ModuleTreeModel::toolTip(int index) const {
  const ModuleNode& node = nodes_[size_t(index)];
  if (node.isOperator && shown_) return facts_.toolTip(*shown_, node.operators.front());
  QString tip =
      tr("<b>%1</b>: %2 operators").arg(node.name.toHtmlEscaped()).arg(node.operators.size());
  if (const int64_t count = parametersOf(node); count > 0)
    tip += tr("<br>%1 parameters").arg(text(countText(double(count))));
  if (!shown_) return tip;
  tip += tr("<br>%1 of the step (%2) on the average stage")
             .arg(text(timeOf(node)), percent(timeOf(node) / facts_.stepTime()));
  EvidenceSum evidence;
  for (OpId op : node.operators) evidence += facts_.evidence(op);
  if (evidence.known()) tip += tr("<br>prediction: %1").arg(evidence.text());
  return tip;
}

QVariant ModuleTreeModel::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  const ModuleNode& node = nodes_[size_t(nodeOf(index))];
  if (role == Qt::DisplayRole) return display(node, index.column());
  if (role == kNumberRole) return number(node, index.column());
  if (role == Qt::ToolTipRole) return toolTip(nodeOf(index));
  if (role == Qt::DecorationRole && index.column() == name && shown_) return swatch(node);
  if (role == Qt::TextAlignmentRole && (index.column() == parameters || index.column() == time))
    return QVariant::fromValue(Qt::Alignment(Qt::AlignRight | Qt::AlignVCenter));
  return {};
}

/// The colours of its stages, side by side.
QVariant ModuleTreeModel::swatch(const ModuleNode& node) const {
  const std::vector<int64_t> stages = facts_.stagesOf(node.operators);
  if (stages.size() == 1) return stageColour(stages.front(), facts_.stages());
  QImage image(kSwatch, kSwatch, QImage::Format_RGB32);
  for (int x = 0; x < kSwatch; ++x)
    for (int y = 0; y < kSwatch; ++y)
      image.setPixelColor(
          x, y, stageColour(stages[size_t(x) * stages.size() / kSwatch], facts_.stages()));
  return image;
}

QVariant ModuleTreeModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal || role != Qt::DisplayRole) return {};
  const std::array<QString, kColumns> names = {tr("module"), tr("kind"), tr("parameters"),
                                               tr("of the step"), tr("split")};
  return section < kColumns ? QVariant(names[size_t(section)]) : QVariant();
}

}  // namespace meshplan::gui
