// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "core/backward.h"
#include "core/work.h"

namespace meshplan {
namespace {

using Ints = std::vector<int64_t>;

/// The training graph of one convolution under a loss.
Graph convolution(const Ints& kernel, const Ints& strides, int64_t group) {
  Graph graph;
  // A parameter, so that the gradient of the convolution's input is wanted too.
  TensorId x = graph.addParameter("x", {DType::f32, {2, 8, 12, 12}});
  TensorId w = graph.addParameter("w", {DType::f32, {16, 8 / group, kernel[0], kernel[1]}});
  OpId conv = graph.addOperator(
      "Conv", {x, w}, Attributes{{"kernel_shape", kernel}, {"strides", strides}, {"group", group}});
  TensorId y = graph.output(conv);
  TensorId target = graph.addInput("target", graph.tensor(y).type);
  OpId loss = graph.addOperator("MeanSquaredError", {y, target});
  graph.outputs() = {graph.output(loss)};
  return trainingGraph(graph, {.precision = Precision::fp32});
}

/// What every phase of the convolution says about its kernel.
std::vector<double> kernelAreas(const Graph& graph) {
  std::vector<double> areas;
  for (size_t i = 0; i < graph.operatorCount(); ++i) {
    OpId id(i);
    const Operator& op = graph.op(id);
    if (op.def->name != "Conv") continue;
    OpId source = op.outputSlots.empty() ? id : op.forward;
    std::vector<TensorType> in = graph.inputTypes(source), out = graph.outputTypes(source);
    LoopNest nest = op.def->nest({graph.op(source).attributes, in, out});
    if (source != id) nest = gradientNest(nest, op);
    areas.push_back(
        workOf(graph, id, nest, graph.inputTypes(id), graph.outputTypes(id), 1, Precision::fp32)
            .kernelArea);
  }
  return areas;
}

TEST(ConvolutionWork, NamesTheKernelOfAConvolutionThatMovesByOneInEveryPhase) {
  EXPECT_EQ(kernelAreas(convolution({3, 3}, {1, 1}, 1)), (std::vector<double>{9, 9, 9}));
  EXPECT_EQ(kernelAreas(convolution({1, 5}, {1, 1}, 1)), (std::vector<double>{5, 5, 5}));
}

TEST(ConvolutionWork, NamesNoKernelOfStridedOrGroupedConvolutions) {
  EXPECT_EQ(kernelAreas(convolution({3, 3}, {2, 2}, 1)), (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(kernelAreas(convolution({3, 3}, {1, 1}, 8)), (std::vector<double>{0, 0, 0}));
}

}  // namespace
}  // namespace meshplan
