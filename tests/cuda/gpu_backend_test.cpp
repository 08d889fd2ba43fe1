// SPDX-License-Identifier: Apache-2.0
// The GPU as `run` and `measure` use it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/gpus.h"
#include "backend/learned_rows.h"
#include "backend/recorded_training.h"
#include "core/import/load_model.h"
#include "planner/lowering.h"
#include "tests/backend/plan_runner.h"
#include "tests/cuda/gpu.h"

namespace meshplan {
namespace {

std::string modelOf(const std::string& name, int64_t gib, int multiprocessors) {
  Gpu gpu;
  gpu.name = name;
  gpu.memory = Bytes(gib << 30);
  gpu.multiprocessors = multiprocessors;
  return gpuModel(gpu);
}

TEST(GpuModel, IsTheCataloguesNameOfTheSameGpu) {
  EXPECT_EQ(modelOf("NVIDIA H200", 140, 132), "H200");
  EXPECT_EQ(modelOf("NVIDIA H100 80GB HBM3", 79, 132), "H100-SXM");
  EXPECT_EQ(modelOf("NVIDIA A100-SXM4-80GB", 79, 108), "A100-SXM-80GB");
  EXPECT_EQ(modelOf("Tesla V100-SXM2-16GB", 15, 80), "V100-SXM2-16GB");
}

TEST(GpuModel, KeepsItsOwnNameWhereTheCatalogueHasAnother) {
  EXPECT_EQ(modelOf("NVIDIA H200", 140, 16), "NVIDIA H200");
  EXPECT_EQ(modelOf("NVIDIA Unheard 9000", 16, 20), "NVIDIA Unheard 9000");
}

TEST(GpuState, NamesTheGpuOrWhyThereIsNone) {
  const GpuState state = gpuState();
  if (state.gpus.empty()) {
    EXPECT_FALSE(state.problem.empty());
    return;
  }
  EXPECT_FALSE(state.gpus[0].name.empty());
  EXPECT_GT(state.gpus[0].memory, Bytes(0));
  EXPECT_THAT(state.gpus[0].uuid, testing::StartsWith("GPU-"));
}

class GpuTraining : public testing::TestWithParam<int> {};

TEST_P(GpuTraining, IsRecordedInstructionByInstruction) {
  MESHPLAN_NEEDS_GPU();
  const int ranks = GetParam();
  TrainingOptions options;
  options.precision = Precision::fp32;
  ModelRequest request;
  request.source = "mlp";
  const TrainingModel model = prepareTraining(loadModel(request), options);
  const Plan plan = planOf(model, 64, ranks == 1 ? "mbs=32" : "dp=2", ranks);
  const Program program = lower(model, plan, {}, LoweredFor::execution);
  const auto backend = gpuBackend(ranks);
  const RecordedTraining recorded =
      recordTraining({model.graph, program, model.referenceBatch, plan.globalBatch, {}}, {},
                     *backend, {.warmUp = 1, .fewest = 2, .enough = 2, .seconds = 0});
  ASSERT_EQ(recorded.ranks.size(), static_cast<size_t>(ranks));
  for (const RankSteps& rank : recorded.ranks) {
    ASSERT_EQ(rank.steps.size(), 2u);
    for (const StepRecorder::Interval& span : rank.steps[0]) {
      EXPECT_GE(span.start, 0);
      EXPECT_GE(span.end, span.start);
    }
  }
  EXPECT_TRUE(backend->teaches() || ranks == 2);  // who share the GPU where there is one only
  if (!backend->teaches()) return;
  RunConditions conditions;
  conditions.environment = backend->environment();
  conditions.transport = backend->transport();
  conditions.ownDevices = backend->ownDevices();
  const LearnedRows rows = learnedRows(program, recorded.ranks, conditions);
  EXPECT_GT(rows.operators.size(), 5u);
  for (const OperatorMeasurement& row : rows.operators)
    EXPECT_THAT(row.environment.libraries, testing::HasSubstr("timed by"));
}

INSTANTIATE_TEST_SUITE_P(Ranks, GpuTraining, testing::Values(1, 2));

}  // namespace
}  // namespace meshplan
