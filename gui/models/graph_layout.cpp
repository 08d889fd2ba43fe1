// SPDX-License-Identifier: Apache-2.0
#include "gui/models/graph_layout.h"

#include <graphviz/gvc.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace meshplan::gui {
namespace {

constexpr double kPoints = 72;  // Graphviz's points in its inches; here: pixels

char* mutableText(const char* text) {
  return const_cast<char*>(text);  // NOLINT: cgraph's signatures
}

void set(void* object, const char* name, double value) {
  std::string text = std::to_string(value);
  agsafeset(object, mutableText(name), text.data(), mutableText(""));
}

class DotGraph {
 public:
  DotGraph() : context_(gvContext()), graph_(agopen(mutableText("model"), Agdirected, nullptr)) {
    agattr(graph_, AGNODE, mutableText("shape"), mutableText("box"));
    agattr(graph_, AGNODE, mutableText("fixedsize"), mutableText("true"));
    agattr(graph_, AGNODE, mutableText("label"), mutableText(""));
    agattr(graph_, AGRAPH, mutableText("nodesep"), mutableText("0.25"));
    agattr(graph_, AGRAPH, mutableText("ranksep"), mutableText("0.4"));
  }
  ~DotGraph() {
    if (laidOut_) gvFreeLayout(context_, graph_);
    agclose(graph_);
    gvFreeContext(context_);
  }
  DotGraph(const DotGraph&) = delete;
  DotGraph& operator=(const DotGraph&) = delete;

  Agnode_t* node(const QSizeF& size) {
    Agnode_t* const made = agnode(graph_, nullptr, 1);
    set(made, "width", size.width() / kPoints);
    set(made, "height", size.height() / kPoints);
    return made;
  }
  Agedge_t* edge(Agnode_t* from, Agnode_t* to) { return agedge(graph_, from, to, nullptr, 1); }
  void layOut() { laidOut_ = gvLayout(context_, graph_, "dot") == 0; }
  boxf box() const { return GD_bb(graph_); }

 private:
  GVC_t* context_;
  Agraph_t* graph_;
  bool laidOut_ = false;
};

QPainterPath curveOf(Agedge_t* edge, double height) {
  QPainterPath path;
  const splines* all = ED_spl(edge);
  if (!all || all->size == 0) return path;
  const bezier& curve = all->list[0];
  const auto at = [&](int i) { return QPointF(curve.list[i].x, height - curve.list[i].y); };
  path.moveTo(at(0));
  for (int i = 1; i + 2 < static_cast<int>(curve.size); i += 3)
    path.cubicTo(at(i), at(i + 1), at(i + 2));
  if (curve.eflag) path.lineTo(curve.ep.x, height - curve.ep.y);
  return path;
}

void addVisible(const std::vector<ModuleNode>& tree, const std::set<int>& expanded, int node,
                std::vector<int>& visible) {
  const ModuleNode& n = tree[size_t(node)];
  const bool open = node == 0 || expanded.count(node) > 0;
  if (n.isOperator || !open || n.children.empty()) {
    visible.push_back(node);
    return;
  }
  for (int child : n.children) addVisible(tree, expanded, child, visible);
}

}  // namespace

VisibleGraph visibleGraph(const TrainingModel& model, const std::vector<ModuleNode>& tree,
                          const std::set<int>& expanded) {
  VisibleGraph graph;
  if (tree.empty()) return graph;
  addVisible(tree, expanded, 0, graph.nodes);
  std::vector<size_t> nodeOf(model.forwardOps, SIZE_MAX);
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    for (OpId op : tree[size_t(graph.nodes[n])].operators) nodeOf[op.index()] = n;
  const auto instance = [&](size_t op) { return model.chain.blockOf(OpId(op)); };
  const std::vector<size_t> runs = layerRuns(model.chain);
  std::map<std::pair<size_t, size_t>, Bytes> bytes;
  for (size_t to = 0; to < model.forwardOps; ++to)
    for (TensorId t : model.graph.op(OpId(to)).inputs) {
      const Tensor& tensor = model.graph.tensor(t);
      if (!tensor.producer.valid() || tensor.producer.index() >= model.forwardOps) continue;
      const size_t from = tensor.producer.index();
      if (nodeOf[from] == nodeOf[to]) continue;
      const size_t a = instance(from), b = instance(to);
      if (a != b && runs[a] == runs[b]) continue;
      Bytes& sum = bytes[{nodeOf[from], nodeOf[to]}];
      sum = std::max(sum, tensor.type.bytes() / model.referenceBatch);
    }
  for (const auto& [ends, sum] : bytes) graph.edges.push_back({ends.first, ends.second, sum});
  return graph;
}

GraphLayout layOut(const VisibleGraph& graph, const std::vector<QSizeF>& sizes) {
  static std::mutex oneAtATime;
  const std::lock_guard lock(oneAtATime);
  DotGraph dot;
  std::vector<Agnode_t*> nodes;
  std::vector<Agedge_t*> edges;
  for (size_t n = 0; n < graph.nodes.size(); ++n) nodes.push_back(dot.node(sizes[n]));
  for (const VisibleGraph::Edge& e : graph.edges)
    edges.push_back(dot.edge(nodes[e.from], nodes[e.to]));
  dot.layOut();
  const double height = dot.box().UR.y;
  GraphLayout layout;
  layout.size = QSizeF(dot.box().UR.x, height);
  for (Agnode_t* n : nodes) layout.centres.emplace_back(ND_coord(n).x, height - ND_coord(n).y);
  for (Agedge_t* e : edges) layout.curves.push_back(curveOf(e, height));
  return layout;
}

}  // namespace meshplan::gui
