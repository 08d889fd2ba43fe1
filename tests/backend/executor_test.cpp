// SPDX-License-Identifier: Apache-2.0
#include "backend/executor.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/backend/plan_runner.h"
#include "tests/graph_text.h"

namespace meshplan {
namespace {

constexpr const char* kMlp = R"(
  x = input [4,12]
  labels = ints [4]
  a = Linear(x, *12x16, *16)
  b = Relu(a)
  c = Linear(b, *16x8, *8)
  d = Relu(c)
  logits = Linear(d, *8x4, *4)
  loss = CrossEntropy(logits, labels)
)";

TrainingOptions exact() {
  TrainingOptions options;
  options.precision = Precision::fp64;
  options.optimizer = OptimizerKind::adamw;
  return options;
}

TEST(Executor, TrainsAPerceptronOnOneRank) {
  const TrainingModel model = prepareTraining(modelFromText(kMlp, 4), exact());
  RunSettings settings;
  settings.steps = 60;
  settings.optimizer.learningRate = 0.02;
  const TrainingRun run =
      runPlan(model, planOf(model, 8, "dp=1,mbs=4", 1), randomInputs(model, 8, 1), settings);
  EXPECT_NEAR(run.losses.front(), std::log(4.0), 0.8);
  EXPECT_LT(run.losses.back(), 0.5 * run.losses.front());
}

TEST(Executor, EveryPlanOfAPerceptronEqualsOneDevice) {
  const TrainingModel model = prepareTraining(modelFromText(kMlp, 4), exact());
  const auto inputs = randomInputs(model, 16, 1);
  const TrainingRun reference = runPlan(model, planOf(model, 16, "dp=1,mbs=16", 1), inputs);
  const std::vector<std::pair<int, const char*>> strategies = {
      {2, "dp=2,mbs=8"},        {2, "tp=2,mbs=16"},
      {4, "dp=2,tp=2,mbs=4"},   {2, "pp=2,mbs=4"},
      {4, "dp=4,mbs=2,zero=1"}, {4, "dp=4,mbs=2,zero=2"},
      {4, "dp=4,mbs=2,zero=3"}, {8, "dp=2,tp=2,pp=2,mbs=2,zero=1"}};
  for (const auto& [ranks, strategy] : strategies) {
    SCOPED_TRACE(strategy);
    const TrainingRun run = runPlan(model, planOf(model, 16, strategy, ranks), inputs);
    EXPECT_NEAR(run.losses[0], reference.losses[0], 1e-12);
    std::string where;
    EXPECT_LT(worstDifference(reference.gradients, run.gradients, &where), 1e-12) << where;
    EXPECT_LT(worstDifference(reference.weights, run.weights, &where), 1e-9) << where;
  }
}

}  // namespace
}  // namespace meshplan
