// SPDX-License-Identifier: Apache-2.0
// Whatever a plan splits over ranks of a GPU, its loss and every gradient equal those of one
// processor: an even sample of the plans where the GPU is emulated, all of them on a real one.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/backend/equivalence_cases.h"
#include "tests/backend/long_tests.h"
#include "tests/cuda/gpu.h"
#include "tests/cuda/gpu_ranks.h"

namespace meshplan {
namespace {

struct Tolerance {
  Precision precision;
  double largest;
};
constexpr Tolerance kTolerances[] = {{Precision::fp64, 1e-11}, {Precision::fp32, 2e-5}};

using Case = std::tuple<size_t, size_t>;

class GpuEquivalence : public testing::TestWithParam<Case> {
 protected:
  const EquivalenceSubject& subject() const {
    return equivalenceSubjects()[std::get<0>(GetParam())];
  }
  const Tolerance& tolerance() const { return kTolerances[std::get<1>(GetParam())]; }
};

TEST_P(GpuEquivalence, EveryPlanHasTheLossAndGradientsOfOneProcessor) {
  MESHPLAN_NEEDS_GPU();
  const TrainingModel model = prepared(subject(), tolerance().precision);
  const auto inputs = randomInputs(model, kEquivalenceBatch, 3);
  const auto strategies = strategiesOf(subject());
  const bool all = longTests() || !gpuIsEmulated();
  const size_t stride = all ? 1 : 37;
  std::map<int64_t, TrainingRun> references;
  int ran = 0;
  for (size_t i = std::get<1>(GetParam()) % stride; i < strategies.size();) {
    const auto& [ranks, strategy] = strategies[i];
    SCOPED_TRACE(strategy);
    Plan plan;
    try {
      plan = planOf(model, kEquivalenceBatch, strategy, ranks);
    } catch (const Error& e) {
      ASSERT_EQ(e.kind(), ErrorKind::usage) << e.what();
      ++i;
      continue;
    }
    i += stride;
    const Plan single = alone(model, subject(), plan);
    auto [reference, isNew] = references.try_emplace(single.microBatch);
    if (isNew) reference->second = runPlan(model, single, inputs);
    RunSettings onGpu;
    onGpu.start = startOnSharedGpu;
    TrainingRun run;
    ASSERT_NO_THROW(run = runPlan(model, plan, inputs, onGpu));
    ++ran;
    EXPECT_NEAR(run.losses[0], reference->second.losses[0], tolerance().largest * run.losses[0]);
    std::string where;
    EXPECT_LT(worstDifference(reference->second.gradients, run.gradients, &where),
              tolerance().largest)
        << where;
  }
  RecordProperty("plans", ran);
  fmt::print("{}: {} plans on one GPU equal one processor\n", subject().name, ran);
  EXPECT_GE(ran, all ? 80 : 3);
}

INSTANTIATE_TEST_SUITE_P(Models, GpuEquivalence,
                         testing::Combine(testing::Range<size_t>(0, equivalenceSubjects().size()),
                                          testing::Range<size_t>(0, std::size(kTolerances))),
                         [](const auto& info) {
                           return fmt::format("{}_{}",
                                              equivalenceSubjects()[std::get<0>(info.param)].name,
                                              std::get<1>(info.param) == 0 ? "fp64" : "fp32");
                         });

}  // namespace
}  // namespace meshplan
