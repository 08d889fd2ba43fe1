// SPDX-License-Identifier: Apache-2.0
#include "core/backward.h"

#include <gmock/gmock.h>

#include <stdexcept>

#include "core/work.h"
#include "tests/graph_text.h"
#include "tests/transformer_text.h"

namespace meshplan {
namespace {

using testing::ElementsAre;

const Operator& find(const Graph& graph, std::string_view name, Phase phase) {
  for (const Operator& op : graph.operators())
    if (op.name == name && op.phase == phase) return op;
  throw std::out_of_range(std::string(name));
}

TEST(Backward, SplitsALinearIntoInputAndWeightGradient) {
  const Model model = modelFromText(R"(
    x = input [4,8]
    t = input [4,16]
    h = Linear(x, *8x8)
    y = Linear(h, *8x16)
    loss = MeanSquaredError(y, t))",
                                    4);
  const Graph graph = trainingGraph(model.graph, {Precision::fp32, OptimizerKind::sgd, DType::f32});
  EXPECT_EQ(forwardCount(graph), 3u);
  const Operator& dx = find(graph, "y", Phase::backwardInput);
  const Operator& dw = find(graph, "y", Phase::backwardWeight);
  EXPECT_THAT(dx.outputSlots, ElementsAre(Slot{Slot::inputGradient, 0}));
  EXPECT_THAT(dw.outputSlots, ElementsAre(Slot{Slot::inputGradient, 1}));
  // The first layer's input needs no gradient.
  EXPECT_THROW(find(graph, "h", Phase::backwardInput), std::out_of_range);
  EXPECT_NO_THROW(find(graph, "h", Phase::backwardWeight));
  graph.validate();
}

TEST(Backward, AddsTheGradientsOfATensorWithSeveralReaders) {
  const Model model = modelFromText(R"(
    x = input [4,8]
    t = input [4,8]
    h = Linear(x, *8x8)
    a = Relu(h)
    b = Tanh(h)
    y = Add(a, b)
    loss = MeanSquaredError(y, t))",
                                    4);
  const Graph graph = trainingGraph(model.graph, {});
  int sums = 0;
  for (const Operator& op : graph.operators())
    if (op.def->name == "Sum" && op.phase == Phase::backwardInput) {
      ++sums;
      EXPECT_EQ(op.inputs.size(), 2u);
      EXPECT_EQ(graph.tensor(op.outputs[0]).forward, graph.op(OpId(0)).outputs[0]);
    }
  EXPECT_EQ(sums, 1);
}

TEST(Backward, KeepsMasterWeightsAndMomentsUnderMixedPrecision) {
  const Model model = modelFromText(
      "x = input [4,8]\nt = input [4,8]\ny = Linear(x, *8x8)\n"
      "loss = MeanSquaredError(y, t)",
      4);
  const auto states = [&](Precision p, OptimizerKind k) {
    const Graph graph = trainingGraph(model.graph, {p, k, DType::f32});
    int n = 0;
    for (const Tensor& t : graph.tensors()) n += t.kind == TensorKind::state;
    return n;
  };
  EXPECT_EQ(states(Precision::bf16, OptimizerKind::adamw), 3);
  EXPECT_EQ(states(Precision::fp32, OptimizerKind::adamw), 2);
  EXPECT_EQ(states(Precision::fp32, OptimizerKind::sgd), 0);
  EXPECT_EQ(states(Precision::fp16, OptimizerKind::momentum), 2);
}

TEST(Backward, CastsLogitsBeforeTheLossUnderMixedPrecision) {
  const Model model = modelFromText(kGpt, 2);
  const Graph graph = trainingGraph(model.graph, {});
  EXPECT_EQ(forwardCount(graph), model.graph.operatorCount() + 1);
  const Operator& cast = find(graph, "loss.logits", Phase::forward);
  EXPECT_EQ(graph.tensor(cast.outputs[0]).type.dtype, DType::f32);
  EXPECT_EQ(graph.tensor(cast.outputs[0]).batchDim, 0);
  graph.validate();
}

TEST(Backward, ATiedParameterKeepsOneGradientPerReaderAndOneUpdate) {
  const Graph graph = trainingGraph(modelFromText(kGpt, 2).graph, {});
  const TensorId table = graph.op(OpId(0)).inputs[1];
  int updates = 0;
  for (const Operator& op : graph.operators())
    if (op.phase == Phase::update && op.inputs[0] == table) {
      ++updates;
      int gradients = 0;
      for (TensorId t : op.inputs) gradients += graph.tensor(t).kind == TensorKind::gradient;
      EXPECT_EQ(gradients, 2);
    }
  EXPECT_EQ(updates, 1);
}

TEST(Backward, GradientFlopsOfContractionsAreTwiceTheForwardOnes) {
  const Graph graph = trainingGraph(modelFromText(kGpt, 2).graph, {});
  double forward = 0, backward = 0;
  for (size_t i = 0; i < graph.operatorCount(); ++i) {
    const Operator& op = graph.op(OpId(i));
    if (op.def->opClass != OpClass::contraction) continue;
    const OpId source = op.phase == Phase::forward ? OpId(i) : op.forward;
    const Operator& f = graph.op(source);
    LoopNest nest =
        f.def->nest({f.attributes, graph.inputTypes(source), graph.outputTypes(source)});
    const OperatorWork fw = workOf(graph, source, nest, graph.inputTypes(source),
                                   graph.outputTypes(source), 0, Precision::bf16);
    if (op.phase == Phase::forward) {
      forward += fw.flops;
      const ContractionShape c = fw.contraction;
      EXPECT_DOUBLE_EQ(2 * c.batch * c.m * c.n * c.k, fw.flops) << op.name;
      continue;
    }
    nest = gradientNest(nest, op);
    const OperatorWork gw = workOf(graph, OpId(i), nest, graph.inputTypes(OpId(i)),
                                   graph.outputTypes(OpId(i)), fw.flops, Precision::bf16);
    const ContractionShape c = gw.contraction;
    EXPECT_DOUBLE_EQ(2 * c.batch * c.m * c.n * c.k, gw.flops) << op.name;
    backward += gw.flops;
  }
  EXPECT_DOUBLE_EQ(backward, 2 * forward);
}

}  // namespace
}  // namespace meshplan
