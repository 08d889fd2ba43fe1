// SPDX-License-Identifier: Apache-2.0
// Streams of an emulated GPU in random order: communicators and whole steps give the same results
// in each that their waits permit.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "backend/cuda/shared_gpu.h"
#include "backend/initial_values.h"
#include "backend/parameter_values.h"
#include "core/error.h"
#include "planner/lowering.h"
#include "tests/backend/communicator_conformance.h"
#include "tests/backend/equivalence_cases.h"
#include "tests/backend/long_tests.h"
#include "tests/cuda/device_communicator.h"
#include "tests/cuda/gpu_ranks.h"
#include "tests/cuda_emulation/emulator.h"

namespace meshplan {
namespace {

/// Streams run in an order of this seed while it lives.
struct Schedule {
  explicit Schedule(uint64_t seed) { emulation::setSchedule(seed); }
  ~Schedule() { emulation::setSchedule(0); }
};

TEST(StreamSchedules, CommunicatorsOfOneGpuKeepTheirPromisesInAny) {
  for (uint64_t seed = 1; seed <= 3; ++seed)
    for (const ConformanceCheck& check : conformanceChecks()) {
      SCOPED_TRACE(fmt::format("{}, schedule {}", check.name, seed));
      const Schedule schedule(seed);
      InProcessWorld hosts(static_cast<int>(seed) + 1);
      SharedGpuWorld world(hosts);
      runThroughGpu(
          hosts.size(), [&](CudaContext& context) { return world.connect(context); }, check.run);
    }
}

/// The loss and gradients of a plan in many orders of the streams.
void checkManySchedules(const EquivalenceSubject& subject, const std::string& strategy,
                        int64_t ranks) {
  const TrainingModel model = prepared(subject, Precision::fp64);
  const auto inputs = randomInputs(model, kEquivalenceBatch, 5);
  const Plan plan = planOf(model, kEquivalenceBatch, strategy, ranks);
  RunSettings settings;
  settings.steps = 3;
  const TrainingRun reference = runPlan(model, alone(model, subject, plan), inputs, settings);
  settings.start = startOnSharedGpu;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(fmt::format("{}, schedule {}", strategy, seed));
    const Schedule schedule(seed);
    const TrainingRun run = runPlan(model, plan, inputs, settings);
    for (size_t s = 0; s < run.losses.size(); ++s)
      EXPECT_NEAR(run.losses[s], reference.losses[s], 1e-11 * reference.losses[s]) << "step " << s;
    std::string where;
    EXPECT_LT(worstDifference(reference.weights, run.weights, &where), 1e-11) << where;
  }
}

TEST(StreamSchedules, ShardedWeightsAreGatheredWhenTheyAreThere) {
  checkManySchedules(equivalenceSubjects()[0], "dp=2,mbs=4,zero=3", 2);
}

TEST(StreamSchedules, WeightsSetBetweenStepsAreThoseOfTheNext) {
  const EquivalenceSubject& subject = equivalenceSubjects()[0];
  const TrainingModel model = prepared(subject, Precision::fp64);
  const auto inputs = randomInputs(model, kEquivalenceBatch, 5);
  const Plan plan = planOf(model, kEquivalenceBatch, "dp=2,mbs=4,zero=3", 2);
  const Program program = lower(model, plan, {}, LoweredFor::execution);
  StepInputs views;
  for (const auto& [id, tensor] : inputs) views[id] = tensor.view();
  RunSettings settings;
  settings.seed = 4;
  const TrainingRun reference = runPlan(model, alone(model, subject, plan), inputs, settings);
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    const Schedule schedule(seed);
    startOnSharedGpu(2, [&](RankDevice& device, Communicator& world, Communicator& data) {
      Executor executor(model.graph, program, device, world, data);
      for (const uint64_t values : {3, 4}) {
        setParameters(executor, [&](TensorId p) { return initialValues(model.graph, p, values); });
        Executor::Options options;
        options.optimizer.kind = plan.training.optimizer;
        const double loss = executor.step(views, options);
        if (values == 4) {
          EXPECT_NEAR(loss, reference.losses[0], 1e-11 * loss) << "schedule " << seed;
        }
      }
    });
  }
}

TEST(StreamSchedules, PipelinesOfShardedStagesKeepTheirOrder) {
  checkManySchedules(equivalenceSubjects()[0], "dp=2,tp=2,pp=2,mbs=2,zero=2,schedule=1f1b", 8);
  checkManySchedules(equivalenceSubjects()[0], "dp=2,pp=2,mbs=2,zero=1,schedule=interleaved,vpp=2",
                     4);
}

TEST(StreamSchedules, StepsHaveTheLossAndGradientsOfOneProcessorInAny) {
  int ran = 0;
  uint64_t seed = 1;
  for (const EquivalenceSubject& subject : equivalenceSubjects()) {
    const TrainingModel model = prepared(subject, Precision::fp64);
    const auto inputs = randomInputs(model, kEquivalenceBatch, 5);
    const auto strategies = strategiesOf(subject);
    for (size_t i = 11; i < strategies.size(); i += longTests() ? 1 : 41) {
      const auto& [ranks, strategy] = strategies[i];
      SCOPED_TRACE(fmt::format("{}, {}, schedule {}", subject.name, strategy, ++seed));
      Plan plan;
      try {
        plan = planOf(model, kEquivalenceBatch, strategy, ranks);
      } catch (const Error&) {
        continue;
      }
      const TrainingRun reference = runPlan(model, alone(model, subject, plan), inputs);
      const Schedule schedule(seed);
      RunSettings onGpu;
      onGpu.start = startOnSharedGpu;
      TrainingRun run;
      ASSERT_NO_THROW(run = runPlan(model, plan, inputs, onGpu));
      ++ran;
      EXPECT_NEAR(run.losses[0], reference.losses[0], 1e-11 * run.losses[0]);
      std::string where;
      EXPECT_LT(worstDifference(reference.gradients, run.gradients, &where), 1e-11) << where;
    }
  }
  fmt::print("{} plans equal one processor in random orders of streams\n", ran);
  EXPECT_GE(ran, 10);
}

}  // namespace
}  // namespace meshplan
