// SPDX-License-Identifier: Apache-2.0
#include "planner/search/shardings.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/flat_cost.h"
#include "tests/graph_text.h"
#include "tests/transformer_text.h"

namespace meshplan {
namespace {

ShardingProblem::Question question(int64_t tensor, int64_t samples, bool sequenceParallel = true) {
  ShardingProblem::Question q;
  q.mesh = {tensor, 1, samples};
  q.tensorGroup.ranks = q.tensorGroup.ranksPerNode = tensor;
  q.sequenceParallel = sequenceParallel;
  return q;
}

/// The axis that each operator of the model splits over the tensor axis, by operator name.
std::map<std::string, std::string> splits(const TrainingModel& model,
                                          const ShardingProblem& problem,
                                          const ShardingPoint& point) {
  std::map<std::string, std::string> result;
  const auto strategies = problem.expand(point);
  for (size_t i = 0; i < model.forwardOps; ++i) {
    const ScaledOperator scaled = scaleForward(model, OpId(i), model.referenceBatch);
    const int8_t axis = strategies[i].tensor;
    result[model.graph.op(OpId(i)).name] = axis == kReplicated ? "replicated"
                                           : axis == kPartialThrough
                                               ? "partial"
                                               : std::string(scaled.nest.axes[size_t(axis)].name);
  }
  return result;
}

int8_t axisNamed(const ScaledOperator& op, std::string_view name) {
  for (size_t i = 0; i < op.nest.axes.size(); ++i)
    if (op.nest.axes[i].name == name) return static_cast<int8_t>(i);
  return kReplicated;
}

TEST(Shardings, ColumnThenRowParallelComesOutByItself) {
  const TrainingModel model = prepareTraining(modelFromText(kGpt, 2), {});
  const ShardingProblem problem(model);
  const auto front = problem.solve(question(4, 2, false), FlatCost());
  ASSERT_FALSE(front.empty());
  const auto split = splits(model, problem, front.front());
  for (int layer = 0; layer < 4; ++layer) {
    const std::string l = std::to_string(layer);
    EXPECT_EQ(split.at("qkv" + l), "out_features");
    EXPECT_EQ(split.at("a" + l), "kv_heads");
    EXPECT_EQ(split.at("o" + l), "in_features");
    EXPECT_EQ(split.at("u" + l), "out_features");
    EXPECT_EQ(split.at("d" + l), "in_features");
    EXPECT_EQ(split.at("n" + l), "replicated");
  }
  EXPECT_EQ(split.at("loss"), "vocab");
}

TEST(Shardings, SequenceParallelismComesOutByItselfAndKeepsLess) {
  const TrainingModel model = prepareTraining(modelFromText(kGpt, 2), {});
  const ShardingProblem problem(model);
  const FlatCost cost(5e11);
  const auto with = problem.solve(question(4, 2, true), cost);
  const auto without = problem.solve(question(4, 2, false), cost);
  ASSERT_FALSE(with.empty());
  ASSERT_FALSE(without.empty());
  EXPECT_LE(with.front().total.time, without.front().total.time);
  const auto split = splits(model, problem, with.front());
  EXPECT_THAT(split.at("n1"), testing::HasSubstr("rows"));
  EXPECT_THAT(split.at("r1"), testing::Not("replicated"));
  EXPECT_EQ(split.at("qkv1"), "out_features");
  double leastWith = std::numeric_limits<double>::infinity();
  for (const auto& p : with) leastWith = std::min(leastWith, p.total.activations);
  EXPECT_LT(leastWith, 0.7 * without.front().total.activations);
}

TEST(Shardings, RequiredSequenceParallelismLeavesNoWeightAndNoResidualWhole) {
  const TrainingModel model = prepareTraining(modelFromText(kGpt, 2), {});
  const ShardingProblem problem(model);
  ShardingProblem::Question q = question(4, 2);
  q.wholeSequence = false;
  const auto front = problem.solve(q, FlatCost());
  ASSERT_FALSE(front.empty());
  for (const ShardingPoint& point : front)
    for (const auto& [name, axis] : splits(model, problem, point)) {
      if (name.starts_with("n") || name.starts_with("r")) {
        EXPECT_NE(axis, "replicated") << name;
      }
      if (name.starts_with("qkv") || name.starts_with("u")) {
        EXPECT_EQ(axis, "out_features") << name;
      }
    }
}

TEST(Shardings, AnMlpSplitsColumnThenRowWithOneAllReduceEachWay) {
  const TrainingModel model = prepareTraining(modelFromText(R"(
    x = input [64,256]
    t = input [64,256]
    z = Linear(x, *256x256)
    h = Linear(z, *256x4096)
    g = Gelu(h)
    y = Linear(g, *4096x256)
    loss = MeanSquaredError(y, t))",
                                                            64),
                                              {});
  const ShardingProblem problem(model);
  const auto front = problem.solve(question(2, 4096), FlatCost());
  ASSERT_FALSE(front.empty());
  const auto split = splits(model, problem, front.front());
  EXPECT_EQ(split.at("h"), "out_features");
  EXPECT_EQ(split.at("y"), "in_features");
}

TEST(Shardings, OneRankHasOneAnswerWithoutCommunication) {
  const TrainingModel model = prepareTraining(modelFromText(kGpt, 2), {});
  const auto front = ShardingProblem(model).solve(question(1, 8), FlatCost());
  ASSERT_EQ(front.size(), 1u);
  for (const BlockCost& b : front.front().blocks) {
    EXPECT_EQ(b.forwardCommunication, 0);
    EXPECT_EQ(b.backwardCommunication, 0);
  }
}

TEST(Shardings, ParametersAreConservedOverTheRanks) {
  const TrainingModel model = prepareTraining(modelFromText(kGpt, 2), {});
  const ShardingProblem problem(model);
  for (int64_t tensor : {1, 2, 4, 8})
    for (const ShardingPoint& point : problem.solve(question(tensor, 16), FlatCost())) {
      double held = 0;
      for (size_t c = 0; c < point.blocks.size(); ++c)
        held += point.blocks[c].parameters * model.chain.classes[c].count;
      EXPECT_GE(held * static_cast<double>(tensor) * (1 + 1e-12),
                static_cast<double>(model.graph.parameterCount()));
    }
}

TEST(Shardings, TheBlockCostsAddUpToTheTotal) {
  const TrainingModel model = prepareTraining(modelFromText(kGpt, 2), {});
  const ShardingProblem problem(model);
  for (int64_t tensor : {2, 4})
    for (const ShardingPoint& point : problem.solve(question(tensor, 64), FlatCost())) {
      double time = 0, saved = 0;
      for (size_t c = 0; c < point.blocks.size(); ++c) {
        time += model.chain.classes[c].count * (point.blocks[c].forward + point.blocks[c].backward);
        saved += model.chain.classes[c].count * point.blocks[c].saved;
      }
      EXPECT_LE(time, point.total.time * (1 + 1e-9));
      EXPECT_NEAR(saved, point.total.activations, 1e-6 * saved);
    }
}

TEST(Shardings, ExpertParallelismIsTwoAllToAlls) {
  const TrainingModel model = prepareTraining(modelFromText(R"(
    x = input [8,64,128]
    t = input [8,64,128]
    z = Linear(x, *128x128)
    s = Linear(z, *128x8)
    w, i = TopKRouter(s) {k=2}
    e = Dispatch(z, i) {experts=8}
    u = ExpertLinear(e, *8x128x1024)
    g = Gelu(u)
    d = ExpertLinear(g, *8x1024x128)
    y = Combine(d, w, i)
    loss = MeanSquaredError(y, t))",
                                                            8),
                                              {});
  const ShardingProblem problem(model);
  ShardingProblem::Question q;
  q.mesh = {1, 4, 64};
  q.expertGroup.ranks = q.expertGroup.ranksPerNode = 4;
  const auto front = problem.solve(q, FlatCost());
  ASSERT_FALSE(front.empty());
  for (const auto& point : front)
    EXPECT_EQ(point.total.parameters, front.front().total.parameters) << "experts are not divided";
  const auto leanest = front.begin();
  const auto strategies = problem.expand(*leanest);
  double expertParameters = 0;
  for (const BlockCost& b : leanest->blocks) expertParameters += b.expertParameters;
  EXPECT_EQ(expertParameters, 2.0 * 8 * 128 * 1024 / 4);
  for (size_t i = 0; i < model.forwardOps; ++i) {
    const Operator& op = model.graph.op(OpId(i));
    const ScaledOperator scaled = scaleForward(model, OpId(i), 64);
    if (op.def->opClass == OpClass::loss) continue;
    const bool ofExperts = op.def->name == "ExpertLinear", between = op.def->name == "Gelu";
    const int8_t expected = ofExperts ? axisNamed(scaled, "experts")
                            : between ? scaled.nest.inputs[0][0].outer
                                      : scaled.batchAxis;
    EXPECT_EQ(strategies[i].expert, expected) << op.name;
  }
}

}  // namespace
}  // namespace meshplan
