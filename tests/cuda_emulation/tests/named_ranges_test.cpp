// SPDX-License-Identifier: Apache-2.0
#include "tests/cuda_emulation/named_ranges.h"

#include <gtest/gtest.h>

#include "backend/cuda/named_ranges.h"
#include "backend/gpus.h"
#include "backend/recorded_training.h"
#include "core/import/load_model.h"
#include "planner/lowering.h"
#include "tests/backend/plan_runner.h"

namespace meshplan {
namespace {

TEST(NamedRanges, CoverEveryStepAndInstructionThatIsRecorded) {
  TrainingOptions options;
  options.precision = Precision::fp32;
  ModelRequest request;
  request.source = "mlp";
  const TrainingModel model = prepareTraining(loadModel(request), options);
  const Plan plan = planOf(model, 8, "mbs=4", 1);
  const Program program = lower(model, plan, {}, LoweredFor::execution);
  const auto backend = gpuBackend(1);
  emulation::takeClosedRanges();
  recordTraining({model.graph, program, model.referenceBatch, plan.globalBatch, {}}, {}, *backend,
                 {.warmUp = 1, .fewest = 2, .enough = 2, .seconds = 0});
  const std::map<std::string, int64_t> closed = emulation::takeClosedRanges();
  ASSERT_TRUE(closed.count("step"));
  const int64_t steps = closed.at("step");
  EXPECT_GE(steps, 2);
  const std::vector<std::string> names = rangeNames(program, 0, model.graph);
  for (const std::string& name : names)
    EXPECT_EQ(closed.count(name) ? closed.at(name) : 0,
              steps * std::count(names.begin(), names.end(), name))
        << name;
  EXPECT_TRUE(closed.count("fc1 forward, micro-batch 1"));
}

}  // namespace
}  // namespace meshplan
