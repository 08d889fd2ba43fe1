// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "core/backward.h"
#include "core/work.h"

namespace meshplan {
namespace {

using Ints = std::vector<int64_t>;

/// The training graph of one convolution under a loss.
Graph convolution(const Ints& kernel, const Ints& strides, int64_t group,
                  Precision precision = Precision::fp32, const std::string& layout = "") {
  Graph graph;
  // A parameter, so that the gradient of the convolution's input is wanted too.
  TensorId x = graph.addParameter("x", {DType::f32, {2, 8, 12, 12}});
  TensorId w = graph.addParameter("w", {DType::f32, {16, 8 / group, kernel[0], kernel[1]}});
  Attributes attributes{{"kernel_shape", kernel}, {"strides", strides}, {"group", group}};
  if (!layout.empty()) attributes.set("layout", layout);
  OpId conv = graph.addOperator("Conv", {x, w}, attributes);
  TensorId y = graph.output(conv);
  TensorId target = graph.addInput("target", graph.tensor(y).type);
  OpId loss = graph.addOperator("MeanSquaredError", {y, target});
  graph.outputs() = {graph.output(loss)};
  return trainingGraph(graph, {.precision = precision});
}

OperatorWork workOfOperator(const Graph& graph, OpId id, Precision precision) {
  const Operator& op = graph.op(id);
  OpId source = op.outputSlots.empty() ? id : op.forward;
  std::vector<TensorType> in = graph.inputTypes(source), out = graph.outputTypes(source);
  LoopNest nest = op.def->nest({graph.op(source).attributes, in, out});
  if (source != id) nest = gradientNest(nest, op);
  return workOf(graph, id, nest, graph.inputTypes(id), graph.outputTypes(id), 1, precision);
}

/// The work of every phase of the operators called `name`.
std::vector<OperatorWork> worksOf(const Graph& graph, std::string_view name,
                                  Precision precision = Precision::fp32) {
  std::vector<OperatorWork> works;
  for (size_t i = 0; i < graph.operatorCount(); ++i)
    if (graph.op(OpId(i)).def->name == name)
      works.push_back(workOfOperator(graph, OpId(i), precision));
  return works;
}

std::vector<double> kernelAreas(const Graph& graph) {
  std::vector<double> areas;
  for (const OperatorWork& w : worksOf(graph, "Conv")) areas.push_back(w.kernelArea);
  return areas;
}

constexpr double kInput = 2 * 8 * 12 * 12, kWeight1 = 16 * 8, kWeight3 = 9 * kWeight1;

TEST(ConvolutionWork, NamesTheKernelOfAConvolutionThatMovesByOneInEveryPhase) {
  EXPECT_EQ(kernelAreas(convolution({3, 3}, {1, 1}, 1)), (std::vector<double>{9, 9, 9}));
  EXPECT_EQ(kernelAreas(convolution({1, 5}, {1, 1}, 1)), (std::vector<double>{5, 5, 5}));
}

TEST(ConvolutionWork, NamesNoKernelOfStridedOrGroupedConvolutions) {
  EXPECT_EQ(kernelAreas(convolution({3, 3}, {2, 2}, 1)), (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(kernelAreas(convolution({3, 3}, {1, 1}, 8)), (std::vector<double>{0, 0, 0}));
}

TEST(ConvolutionWork, ReadsOnlyThePositionsThatAKernelMeets) {
  const auto strided = worksOf(convolution({1, 1}, {2, 2}, 1), "Conv");
  ASSERT_EQ(strided.size(), 3u);
  const double output = 2 * 16 * 6 * 6;
  EXPECT_EQ(strided[0].strideArea, 4);
  EXPECT_EQ(strided[0].bytes, 4 * (kInput / 4 + kWeight1 + output));
  // The gradient of the input is written whole; that of the weight is added to what is there.
  EXPECT_EQ(strided[1].bytes, 4 * (kInput + kWeight1 + output));
  EXPECT_EQ(strided[2].bytes, 4 * (kInput / 4 + 2 * kWeight1 + output));
  const auto dense = worksOf(convolution({3, 3}, {1, 1}, 1), "Conv");
  EXPECT_EQ(dense[0].bytes, 4 * (kInput + kWeight3 + 2 * 16 * 10 * 10));
}

TEST(ConvolutionWork, TransposesImagesAroundMatrixUnitsUnlessChannelsAreLast) {
  const double image = 4 * (kInput + 2 * 16 * 10 * 10);
  for (const OperatorWork& w : worksOf(convolution({3, 3}, {1, 1}, 1), "Conv"))
    EXPECT_EQ(w.transposedBytes, 2 * image);
  const auto half = [](const std::string& layout) {
    const Graph graph = convolution({3, 3}, {1, 1}, 1, Precision::fp16, layout);
    return worksOf(graph, "Conv", Precision::fp16);
  };
  for (const OperatorWork& w : half("")) EXPECT_EQ(w.transposedBytes, 0);
  for (const OperatorWork& w : half("NHWC")) EXPECT_EQ(w.transposedBytes, 0);
  EXPECT_EQ(half("NCHW").front().transposedBytes, image);
}

/// relu(batchnorm(x) + x) under a loss.
Graph residual(bool fused) {
  Graph graph;
  TensorId x = graph.addParameter("x", {DType::f32, {2, 8, 12, 12}});
  TensorId scale = graph.addParameter("scale", {DType::f32, {8}});
  TensorId shift = graph.addParameter("shift", {DType::f32, {8}});
  TensorId y = graph.output(graph.addOperator("BatchNormalization", {x, scale, shift}));
  Attributes attributes;
  if (fused) attributes.set("fused", int64_t{1});
  y = graph.output(graph.addOperator("Add", {y, x}, attributes));
  y = graph.output(graph.addOperator("Relu", {y}, attributes));
  TensorId target = graph.addInput("target", graph.tensor(y).type);
  graph.outputs() = {graph.output(graph.addOperator("MeanSquaredError", {y, target}))};
  return trainingGraph(graph, {.precision = Precision::fp32});
}

TEST(ConvolutionWork, BatchNormalisationReadsItsOperandsTwice) {
  const auto norm = worksOf(residual(false), "BatchNormalization");
  ASSERT_EQ(norm.size(), 2u);
  EXPECT_NEAR(norm[0].bytes, 4 * 3 * kInput, 4 * 100);
  EXPECT_NEAR(norm[1].bytes, 4 * 5 * kInput, 4 * 100);
}

TEST(ConvolutionWork, TheGradientOfASumIsHandedOn) {
  const auto sum = worksOf(residual(false), "Add");
  ASSERT_EQ(sum.size(), 2u);
  EXPECT_EQ(sum[0].bytes, 4 * 3 * kInput);
  EXPECT_EQ(sum[0].kernels, 1);
  EXPECT_EQ(sum[1].bytes, 0);
  EXPECT_EQ(sum[1].kernels, 0);
}

TEST(ConvolutionWork, FusedOperatorsMoveWhatOnlyTheyNeed) {
  const auto sum = worksOf(residual(true), "Add"), relu = worksOf(residual(true), "Relu");
  for (const OperatorWork& w : {sum.at(0), sum.at(1)}) EXPECT_EQ(w.bytes, 4 * kInput);
  for (const OperatorWork& w : {relu.at(0), relu.at(1)}) EXPECT_EQ(w.bytes, 0);
  for (const OperatorWork& w : {sum[0], sum[1], relu[0], relu[1]}) EXPECT_EQ(w.kernels, 0);
}

}  // namespace
}  // namespace meshplan
