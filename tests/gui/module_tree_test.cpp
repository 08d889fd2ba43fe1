// SPDX-License-Identifier: Apache-2.0
#include "gui/models/module_tree.h"

#include <gtest/gtest.h>

#include <QAbstractItemModelTester>
#include <numeric>

#include "gui/models/graph_layout.h"

namespace meshplan::gui {
namespace {

std::shared_ptr<const Document> open(const std::string& model) {
  OpenRequest request;
  request.model.source = model;
  request.cluster = "8xA100-SXM-80GB";
  return Document::open(request, [](const Notice&) {});
}

const ModuleNode* named(const std::vector<ModuleNode>& tree, const QString& name) {
  for (const ModuleNode& node : tree)
    if (node.name == name) return &node;
  return nullptr;
}

class Models : public testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<const Document> document = open(GetParam());
  std::vector<ModuleNode> tree = moduleTree(document->model(), "model");
};

TEST_P(Models, HaveEveryOperatorInOneLeafAndInAllModulesAboveIt) {
  std::vector<int> leaves(document->model().forwardOps, 0);
  for (const ModuleNode& node : tree) {
    size_t below = 0;
    for (int child : node.children) below += tree[size_t(child)].operators.size();
    EXPECT_TRUE(node.children.empty() || below == node.operators.size());
    if (node.isOperator)
      for (OpId op : node.operators) ++leaves[op.index()];
  }
  EXPECT_EQ(std::count(leaves.begin(), leaves.end(), 1), std::ssize(leaves));
}

/// Modules that are used in two places (T5's embedding) make cycles while they are folded.
TEST_P(Models, AreDrawnWithoutCyclesOnceExpanded) {
  std::set<int> expanded;
  for (size_t n = 0; n < tree.size(); ++n) expanded.insert(static_cast<int>(n));
  const VisibleGraph graph = visibleGraph(document->model(), tree, expanded);
  std::vector<int> incoming(graph.nodes.size(), 0);
  for (const VisibleGraph::Edge& e : graph.edges) ++incoming[e.to];
  std::vector<size_t> ready;
  for (size_t i = 0; i < incoming.size(); ++i)
    if (incoming[i] == 0) ready.push_back(i);
  size_t done = 0;
  while (!ready.empty()) {
    const size_t at = ready.back();
    ready.pop_back();
    ++done;
    for (const VisibleGraph::Edge& e : graph.edges)
      if (e.from == at && --incoming[e.to] == 0) ready.push_back(e.to);
  }
  EXPECT_EQ(done, graph.nodes.size());
}

TEST_P(Models, HaveEdgesBetweenDifferentNodesWhateverIsExpanded) {
  std::set<int> expanded;
  for (size_t n = 0; n < tree.size(); ++n) {
    expanded.insert(static_cast<int>(n));
    const VisibleGraph graph = visibleGraph(document->model(), tree, expanded);
    for (const VisibleGraph::Edge& e : graph.edges) {
      ASSERT_LT(std::max(e.from, e.to), graph.nodes.size());
      ASSERT_NE(e.from, e.to);
      ASSERT_GT(e.bytes, Bytes(0));
    }
  }
}

TEST_P(Models, AreLaidOutWithoutNodesOnTopOfEachOther) {
  const std::vector<int> worth = worthExpanding(tree);
  const VisibleGraph graph =
      visibleGraph(document->model(), tree, std::set<int>(worth.begin(), worth.end()));
  const QSizeF size(120, 40);
  const GraphLayout layout = layOut(graph, std::vector<QSizeF>(graph.nodes.size(), size));
  ASSERT_EQ(layout.centres.size(), graph.nodes.size());
  ASSERT_EQ(layout.curves.size(), graph.edges.size());
  const auto box = [&](size_t n) {
    return QRectF(layout.centres[n] - QPointF(60, 20), size).adjusted(1, 1, -1, -1);
  };
  for (size_t a = 0; a < graph.nodes.size(); ++a)
    for (size_t b = 0; b < a; ++b) EXPECT_FALSE(box(a).intersects(box(b)));
  for (const QPainterPath& curve : layout.curves) EXPECT_GT(curve.elementCount(), 1);
}

INSTANTIATE_TEST_SUITE_P(Zoo, Models,
                         testing::Values("llama3-8b", "gpt2", "resnet50", "mixtral-8x7b", "t5-base",
                                         "mlp"));

TEST(ModuleTree, FoldsRepeatedLayers) {
  const auto tree = moduleTree(open("gpt2")->model(), "gpt2");
  const ModuleNode* layers = nullptr;
  for (const ModuleNode& node : tree)
    if (node.repeat == 12) layers = &node;
  ASSERT_NE(layers, nullptr);
  const ModuleNode* attention = named(tree, "attention");
  ASSERT_NE(attention, nullptr);
  EXPECT_EQ(attention->operators.size(), 12u);
}

TEST(ModuleTree, KeepsARepeatedLayerApartFromAModuleOfItsName) {
  const auto document = open("resnet50");
  for (const ModuleNode& node : moduleTree(document->model(), "resnet50")) {
    if (node.repeat == 1) continue;
    EXPECT_EQ(node.operators.size() % static_cast<size_t>(node.repeat), 0u)
        << node.name.toStdString();
  }
}

TEST(ModuleTreeModel, IsAModelBeforeAndAfterAPlanIsShown) {
  ModuleTreeModel model;
  QAbstractItemModelTester tester(&model);
  const auto document = open("gpt2");
  model.showDocument(document);
  EXPECT_EQ(model.index(0, ModuleTreeModel::time).data().toString(), "");
  const PlanReport report =
      evaluateStrategy(document->context(), document->globalBatch(), parseStrategy("tp=2,pp=2"));
  model.showPlan(showPlan(document, report.plan, "tried"));
  EXPECT_TRUE(model.index(0, ModuleTreeModel::time).data().toString().endsWith("%"));
  bool split = false;
  for (size_t op = 0; op < document->model().forwardOps; ++op) {
    split = split || !model.facts()->splitText(OpId(op)).isEmpty();
    EXPECT_TRUE(model.toolTip(model.leafOf(OpId(op))).contains("prediction: "));
    EXPECT_TRUE(model.toolTip(0).contains("prediction: "));
    EXPECT_TRUE(model.toolTip(0).contains("±"));
  }
  EXPECT_TRUE(split);
}

TEST(OperatorFacts, TimesAddUpToWhatTheStagesCompute) {
  const auto document = open("gpt2");
  const PlanReport report =
      evaluateStrategy(document->context(), document->globalBatch(), parseStrategy("tp=2,pp=4"));
  const auto shown = showPlan(document, report.plan, "tried");
  const OperatorFacts facts(*shown);
  double sum = 0, computed = 0;
  for (size_t op = 0; op < document->model().forwardOps; ++op) sum += facts.time(OpId(op)).value;
  for (const RankClassSummary& c : shown->simulated.timeline.rankClasses)
    computed += c.time.compute.value;
  EXPECT_NEAR(sum / computed, 1, 0.02);  // sums of gradients belong to no operator
}

}  // namespace
}  // namespace meshplan::gui
