// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "core/work.h"

namespace meshplan {
namespace {

TEST(RecurrentWork, IsALaunchAndAProductPerStep) {
  constexpr int64_t kSteps = 50, kBatch = 16, kInput = 64, kHidden = 128;
  Graph graph;
  TensorId x = graph.addInput("x", {DType::f32, {kSteps, kBatch, kInput}}, 1);
  TensorId w = graph.addParameter("w", {DType::f32, {2, 4 * kHidden, kInput}});
  TensorId r = graph.addParameter("r", {DType::f32, {2, 4 * kHidden, kHidden}});
  OpId id = graph.addOperator("LSTM", {x, w, r},
                              Attributes{{"hidden_size", kHidden}, {"direction", "bidirectional"}});
  std::vector<TensorType> in = graph.inputTypes(id), out = graph.outputTypes(id);
  LoopNest nest = graph.op(id).def->nest({graph.op(id).attributes, in, out});
  OperatorWork work = workOf(graph, id, nest, in, out, 0, Precision::fp32);
  EXPECT_EQ(work.kernels, kSteps);
  EXPECT_EQ(work.contraction, (ContractionShape{2, kBatch, 4 * kHidden, kHidden}));
  EXPECT_GT(work.flops, 2. * kSteps * 2 * kBatch * 4 * kHidden * kHidden);
}

}  // namespace
}  // namespace meshplan
