// SPDX-License-Identifier: Apache-2.0
#include "core/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace meshplan {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TensorType f32(Shape shape) {
  return {DType::f32, std::move(shape)};
}

std::string messageOf(const Graph& graph) {
  try {
    graph.validate();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    return e.what();
  }
  return "";
}

TEST(Graph, ShapesAreInferredAndUsesRecorded) {
  Graph graph;
  const TensorId x = graph.addInput("x", f32({2, 8, 4}), 0, 1);
  const TensorId w = graph.addParameter("w", f32({4, 6}));
  const OpId linear = graph.addOperator("Linear", {x, w}, {}, "fc");
  const OpId sum = graph.addOperator("Add", {graph.output(linear), graph.output(linear)});
  EXPECT_EQ(graph.tensor(graph.output(linear)).type.shape, (Shape{2, 8, 6}));
  EXPECT_EQ(graph.tensor(graph.output(linear)).name, "fc:0");
  EXPECT_EQ(graph.tensor(graph.output(linear)).producer, linear);
  EXPECT_EQ(graph.tensor(graph.output(linear)).consumers, (std::vector<OpId>{sum, sum}));
  EXPECT_EQ(graph.parameterCount(), 24);
  EXPECT_EQ(messageOf(graph), "");
}

TEST(Graph, ATiedParameterCountsOnce) {
  Graph graph;
  const TensorId ids = graph.addInput("ids", {DType::i64, {1, 8}}, 0, 1);
  const TensorId table = graph.addParameter("table", f32({100, 4}));
  const OpId embed = graph.addOperator("Embedding", {ids, table});
  graph.addOperator("Linear", {graph.output(embed), table}, {{"transposed", int64_t{1}}});
  EXPECT_EQ(graph.parameterCount(), 400);
}

TEST(Graph, AnErrorOfAnOperatorSaysItsName) {
  Graph graph;
  const TensorId x = graph.addInput("x", f32({2, 4}));
  const TensorId w = graph.addParameter("w", f32({5, 6}));
  try {
    graph.addOperator("Linear", {x, w}, {}, "layer.7.fc");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.place(), "layer.7.fc");
    EXPECT_THAT(e.problem(), AllOf(HasSubstr("4"), HasSubstr("5")));
  }
}

TEST(Graph, ACycleNamesItsOperators) {
  Graph graph;
  Tensor a, b;
  a.type = b.type = f32({2});
  const TensorId ta = graph.addTensor(a), tb = graph.addTensor(b);
  for (const auto& [name, in, out] : {std::tuple{"first", tb, ta}, std::tuple{"second", ta, tb}}) {
    Operator op;
    op.def = &operatorDef("Relu");
    op.name = name;
    op.inputs = {in};
    op.outputs = {out};
    graph.addOperator(op);
  }
  EXPECT_THAT(messageOf(graph), AllOf(HasSubstr("'first', 'second'"), HasSubstr("cycle")));
}

TEST(Graph, ATensorThatNobodyMakesIsNamed) {
  Graph graph;
  Tensor t;
  t.name = "ghost";
  t.type = f32({2});
  graph.addOperator("Relu", {graph.addTensor(t)}, {}, "relu");
  EXPECT_THAT(messageOf(graph), AllOf(HasSubstr("relu"), HasSubstr("'ghost'")));
}

TEST(Graph, TwoMakersOfOneTensorAreRefused) {
  Graph graph;
  const TensorId x = graph.addInput("x", f32({2}));
  Operator op = graph.op(graph.addOperator("Relu", {x}));
  EXPECT_THROW(graph.addOperator(op), Error);
}

TEST(Graph, TheBatchIsFollowedAtAnyReferenceBatch) {
  for (int64_t batch : {1, 3}) {
    Graph graph;
    const TensorId x = graph.addInput("x", f32({batch, 8, 64}), 0, 1);
    const TensorId mask = graph.addConstant("mask", f32({1, 1, 8, 8}));
    const OpId heads = graph.addOperator("ToHeads", {x}, {{"head_dim", int64_t{16}}});
    const TensorId h = graph.output(heads);
    const OpId attention = graph.addOperator("Attention", {h, h, h, mask});
    const OpId merged = graph.addOperator("MergeHeads", {graph.output(attention)});
    propagateBatch(graph);
    for (TensorId t :
         {h, graph.output(attention), graph.output(attention, 1), graph.output(merged)})
      EXPECT_EQ(graph.tensor(t).batchDim, 0);
    EXPECT_EQ(graph.tensor(h).sequenceDim, 2);
    EXPECT_EQ(graph.tensor(graph.output(merged)).sequenceDim, 1);
    EXPECT_EQ(graph.tensor(mask).batchDim, -1);
  }
}

TEST(Graph, TheSlotsOfExpertsGrowWithTheBatch) {
  Graph graph;
  const TensorId x = graph.addInput("x", f32({1, 16, 8}), 0, 1);
  const TensorId logits = graph.addInput("logits", f32({1, 16, 4}), 0, 1);
  const OpId route = graph.addOperator("TopKRouter", {logits}, {{"k", int64_t{2}}});
  const OpId dispatch =
      graph.addOperator("Dispatch", {x, graph.output(route, 1)}, {{"experts", int64_t{4}}});
  const OpId combine = graph.addOperator(
      "Combine", {graph.output(dispatch), graph.output(route), graph.output(route, 1)});
  propagateBatch(graph);
  EXPECT_EQ(graph.tensor(graph.output(dispatch)).batchDim, 1);
  EXPECT_EQ(graph.tensor(graph.output(combine)).batchDim, 0);
}

}  // namespace
}  // namespace meshplan
