// SPDX-License-Identifier: Apache-2.0
// A step that was captured once and is repeated trains as one that is issued every time.
#include <gtest/gtest.h>

#include "backend/comm/in_process.h"
#include "tests/backend/equivalence_cases.h"
#include "tests/cuda/counting_device.h"
#include "tests/cuda/gpu.h"

namespace meshplan {
namespace {

TrainingRun train(const TrainingModel& model, const Plan& plan, bool captures, int& replays) {
  RunSettings settings;
  settings.steps = 6;
  settings.optimizer.learningRate = 1e-3;
  settings.start = [&](int ranks, const RankBody& body) {
    runInProcess(ranks, [&](Communicator& world) {
      CountingDevice device(captures, replays);
      body(device, world, world);
    });
  };
  return runPlan(model, plan, randomInputs(model, kEquivalenceBatch, 3), settings);
}

TEST(CapturedStep, TrainsAsOneThatIsIssuedEveryTime) {
  MESHPLAN_NEEDS_GPU();
  int compared = 0;
  for (const EquivalenceSubject& subject : equivalenceSubjects()) {
    if (subject.name != std::string("perceptron") && subject.name != std::string("transformer"))
      continue;
    const TrainingModel model = prepared(subject, Precision::fp32);
    const Plan plan = planOf(model, kEquivalenceBatch, "dp=1,mbs=4", 1);
    int issued = 0, repeated = 0;
    const TrainingRun plain = train(model, plan, false, issued);
    const TrainingRun captured = train(model, plan, true, repeated);
    EXPECT_EQ(issued, 0);
    ++compared;
    EXPECT_EQ(repeated, 5) << subject.name;
    EXPECT_EQ(captured.losses, plain.losses) << subject.name;
    EXPECT_EQ(worstDifference(captured.weights, plain.weights), 0) << subject.name;
    EXPECT_NE(plain.losses.front(), plain.losses.back());
  }
  EXPECT_EQ(compared, 2);
}

}  // namespace
}  // namespace meshplan
