// SPDX-License-Identifier: Apache-2.0
#include "gui/views/graph_view.h"

#include <QGraphicsItem>
#include <QGraphicsSceneMouseEvent>
#include <QKeyEvent>
#include <QWheelEvent>
#include <algorithm>
#include <cmath>

#include "gui/palette.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

constexpr double kPadding = 8;
constexpr double kLeastWidth = 90;
constexpr size_t kStops = 5;  // of a gradient
constexpr double kZoom = 1.2;
constexpr double kReadable = 0.8;  // of the size of text elsewhere

}  // namespace

class GraphView::NodeItem : public QGraphicsItem {
 public:
  NodeItem(GraphView& view, int node, const QSizeF& size) : view_(view), node_(node), size_(size) {
    setAcceptHoverEvents(true);
    setFlag(ItemIsFocusable);
    setToolTip(view_.tree_.toolTip(node));
  }

  int node() const { return node_; }
  const ModuleNode& module() const { return view_.tree_.nodes()[size_t(node_)]; }
  void setChosen(bool chosen) {
    chosen_ = chosen;
    update();
  }
  QRectF boundingRect() const override {
    return QRectF(-size_.width() / 2, -size_.height() / 2, size_.width(), size_.height())
        .adjusted(-3, -3, 3, 3);
  }

  void paint(QPainter* painter, const QStyleOptionGraphicsItem*, QWidget*) override {
    const QRectF box = boundingRect().adjusted(3, 3, -3, -3);
    const OperatorFacts* facts = view_.tree_.facts();
    const OpId first = module().operators.front();
    const QColor fill = facts ? stageColour(facts->stage(first), facts->stages())
                              : view_.palette().color(QPalette::Button);
    const QLinearGradient stages = stageGradient(box, fill);
    if (module().repeat > 1) {  // a stack of them
      painter->setPen(QPen(fill.darker(150), 1));
      painter->setBrush(fill.darker(115));
      painter->drawRoundedRect(box.translated(3, 3), 4, 4);
    }
    const QColor edge = chosen_ ? QColor(0xd5, 0x5e, 0x00) : fill.darker(150);
    painter->setPen(QPen(edge, chosen_ ? 3 : 1));
    painter->setBrush(stages);
    painter->drawRoundedRect(box, 4, 4);
    painter->setPen(textOn(stages.stops()[kStops / 2].second));
    const QString name = view_.tree_.indexOf(node_).data().toString();
    const QString below = view_.secondLine(node_);
    if (below.isEmpty()) {
      painter->drawText(box, Qt::AlignCenter, name);
      return;
    }
    painter->drawText(box.adjusted(0, 3, 0, -box.height() / 2), Qt::AlignCenter, name);
    QFont small = painter->font();
    small.setPointSizeF(small.pointSizeF() * 0.85);
    painter->setFont(small);
    painter->drawText(box.adjusted(0, box.height() / 2, 0, -3), Qt::AlignCenter, below);
  }

 protected:
  void mousePressEvent(QGraphicsSceneMouseEvent*) override {
    view_.selection_.setOperators(module().operators);
  }
  void mouseDoubleClickEvent(QGraphicsSceneMouseEvent*) override {
    Q_EMIT view_.expandPressed(node_);
  }

 private:
  /// Through the stages of all repetitions.
  QLinearGradient stageGradient(const QRectF& box, const QColor& fill) const {
    QLinearGradient gradient(box.topLeft(), box.topRight());
    const OperatorFacts* facts = view_.tree_.facts();
    const auto all = facts ? facts->stagesOf(module().operators) : std::vector<int64_t>();
    gradient.setColorAt(0, fill);
    for (size_t i = 0; i < kStops && !all.empty(); ++i)
      gradient.setColorAt(static_cast<double>(i) / (kStops - 1),
                          stageColour(all[i * (all.size() - 1) / (kStops - 1)], facts->stages()));
    return gradient;
  }

  GraphView& view_;
  const int node_;
  const QSizeF size_;
  bool chosen_ = false;
};

GraphView::GraphView(const ModuleTreeModel& tree, Selection& selection, QWidget* parent)
    : QGraphicsView(parent), tree_(tree), selection_(selection) {
  setObjectName("GraphView");
  setAccessibleName(tr("Graph of the model"));
  setScene(&scene_);
  setRenderHint(QPainter::Antialiasing);
  setDragMode(ScrollHandDrag);
  setTransformationAnchor(AnchorUnderMouse);
  setFrameShape(QFrame::NoFrame);
  connect(&selection_, &Selection::operatorsChanged, this, &GraphView::markSelected);
}

/// How an operator is split, else its kind where the name does not tell it.
QString GraphView::secondLine(int node) const {
  const ModuleNode& module = tree_.nodes()[size_t(node)];
  if (!module.isOperator) return {};
  const QString glyph = tree_.facts() ? tree_.facts()->glyph(module.operators.front()) : QString();
  if (!glyph.isEmpty()) return QStringLiteral("║ ") + glyph;
  const QString kind = tree_.indexOf(node, ModuleTreeModel::kind).data().toString();
  return module.name.contains(kind, Qt::CaseInsensitive) ? QString() : kind;
}

QSizeF GraphView::sizeOf(int node) const {
  const QFontMetricsF metrics(font());
  const QString name = tree_.indexOf(node).data().toString();
  const double wide =
      std::max(metrics.horizontalAdvance(name), metrics.horizontalAdvance(secondLine(node)));
  return {std::max(kLeastWidth, wide + 2 * kPadding), 2 * metrics.height() + kPadding};
}

void GraphView::say(const QString& text) {
  message_ = text;
  scene_.clear();
  items_.clear();
  edges_.clear();
  viewport()->update();
}

void GraphView::showNothing() {
  jobs_.cancel(Jobs::Lane::simulate);
  say(tr("The graph stands here once a model is open."));
}

void GraphView::show(const TrainingModel& model, const std::set<int>& expanded) {
  const VisibleGraph graph = visibleGraph(model, tree_.nodes(), expanded);
  if (graph.nodes.size() > kMostNodes)
    return say(tr("%1 nodes are too many to draw at once: collapse some modules.")
                   .arg(graph.nodes.size()));
  std::vector<QSizeF> sizes;
  for (int node : graph.nodes) sizes.push_back(sizeOf(node));
  jobs_.run<GraphLayout>(
      Jobs::Lane::simulate, [graph, sizes](const JobPointer&) { return layOut(graph, sizes); },
      [this, graph, sizes](GraphLayout layout) { draw(graph, sizes, layout); },
      [this](const Error& error) { say(text(error.what())); });
}

void GraphView::draw(const VisibleGraph& graph, const std::vector<QSizeF>& sizes,
                     const GraphLayout& layout) {
  message_.clear();
  scene_.clear();
  items_.clear();
  edges_.clear();
  addEdges(graph, layout);
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    items_.push_back(new NodeItem(*this, graph.nodes[n], sizes[n]));
    scene_.addItem(items_.back());
    items_.back()->setPos(layout.centres[n]);
  }
  scene_.setSceneRect(QRectF(QPointF(), layout.size).adjusted(-20, -20, 20, 20));
  markSelected();
  fit();
  Q_EMIT drawn();
}

/// As wide as the logarithm of what flows.
void GraphView::addEdges(const VisibleGraph& graph, const GraphLayout& layout) {
  for (size_t e = 0; e < graph.edges.size(); ++e) {
    const double kib = static_cast<double>(graph.edges[e].bytes.value) / kKiB;
    const double width = std::clamp(std::log2(1 + kib) / 4, 0.7, 5.0);
    edges_.push_back(scene_.addPath(layout.curves[e], QPen(edgeColour(), width)));
    edges_.back()->setToolTip(tr("%1 a sample").arg(text(graph.edges[e].bytes)));
  }
}

QColor GraphView::edgeColour() const {
  QColor ink = palette().color(QPalette::WindowText);
  ink.setAlpha(120);
  return ink;
}

void GraphView::changeEvent(QEvent* event) {
  QGraphicsView::changeEvent(event);
  if (event->type() != QEvent::PaletteChange) return;
  for (QGraphicsPathItem* edge : edges_) edge->setPen(QPen(edgeColour(), edge->pen().widthF()));
}

void GraphView::refresh() {
  for (NodeItem* item : items_) item->setToolTip(tree_.toolTip(item->node()));
  scene_.update();
}

void GraphView::markSelected() {
  for (NodeItem* item : items_) {
    const auto& operators = item->module().operators;
    item->setChosen(std::any_of(operators.begin(), operators.end(),
                                [this](OpId op) { return selection_.contains(op); }));
  }
}

void GraphView::fit() {
  const QRectF all = scene_.sceneRect();
  fitInView(all, Qt::KeepAspectRatio);
  const double scale = transform().m11();
  if (scale > 1.2) setTransform(QTransform::fromScale(1.2, 1.2));
  if (scale < kReadable) {  // from the top; the rest is scrolled to
    setTransform(QTransform::fromScale(kReadable, kReadable));
    centerOn(all.center().x(), 0);
  }
}

void GraphView::wheelEvent(QWheelEvent* event) {
  if (!(event->modifiers() & Qt::ControlModifier)) return QGraphicsView::wheelEvent(event);
  const double factor = event->angleDelta().y() > 0 ? kZoom : 1 / kZoom;
  scale(factor, factor);
}

void GraphView::keyPressEvent(QKeyEvent* event) {
  if (event->key() == Qt::Key_F) return fit();
  if (event->key() == Qt::Key_Plus || event->key() == Qt::Key_Equal) return scale(kZoom, kZoom);
  if (event->key() == Qt::Key_Minus) return scale(1 / kZoom, 1 / kZoom);
  QGraphicsView::keyPressEvent(event);
}

void GraphView::drawForeground(QPainter* painter, const QRectF&) {
  if (message_.isEmpty()) return;
  painter->resetTransform();
  painter->setPen(palette().color(QPalette::PlaceholderText));
  painter->drawText(viewport()->rect(), Qt::AlignCenter | Qt::TextWordWrap, message_);
}

}  // namespace meshplan::gui
