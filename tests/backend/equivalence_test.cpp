// SPDX-License-Identifier: Apache-2.0
// Whatever a plan splits, its loss and every gradient equal those of one device.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/backend/equivalence_cases.h"

namespace meshplan {
namespace {

class Equivalence : public testing::TestWithParam<EquivalenceSubject> {};

TEST_P(Equivalence, EveryPlanHasTheLossAndGradientsOfOneDevice) {
  const TrainingModel model = prepared(GetParam(), Precision::fp64);
  const auto inputs = randomInputs(model, kEquivalenceBatch, 3);
  std::map<int64_t, TrainingRun> references;
  int ran = 0, impossible = 0;
  for (const auto& [ranks, strategy] : strategiesOf(GetParam())) {
    SCOPED_TRACE(strategy);
    Plan plan;
    try {
      plan = planOf(model, kEquivalenceBatch, strategy, ranks);
    } catch (const Error& e) {
      ASSERT_EQ(e.kind(), ErrorKind::usage) << e.what();
      ++impossible;
      continue;
    }
    const Plan single = alone(model, GetParam(), plan);
    auto [reference, isNew] = references.try_emplace(single.microBatch);
    if (isNew) reference->second = runPlan(model, single, inputs);
    TrainingRun run;
    ASSERT_NO_THROW(run = runPlan(model, plan, inputs));
    ++ran;
    EXPECT_NEAR(run.losses[0], reference->second.losses[0], 1e-12 * run.losses[0]);
    std::string where;
    EXPECT_LT(worstDifference(reference->second.gradients, run.gradients, &where), 1e-12) << where;
  }
  RecordProperty("plans", ran);
  fmt::print("{}: {} plans equal one device, {} strategies do not exist\n", GetParam().name, ran,
             impossible);
  EXPECT_GE(ran, 80);  // of five models: more than 300
}

INSTANTIATE_TEST_SUITE_P(Models, Equivalence, testing::ValuesIn(equivalenceSubjects()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace meshplan
