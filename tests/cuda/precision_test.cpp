// SPDX-License-Identifier: Apache-2.0
// What a plan's precision means on a GPU.
#include <gtest/gtest.h>

#include <cmath>
#include <mutex>

#include "backend/comm/in_process.h"
#include "backend/cuda/matrix.h"
#include "backend/initial_values.h"
#include "backend/parameter_values.h"
#include "backend/safetensors.h"
#include "backend/training_run.h"
#include "planner/lowering.h"
#include "tests/backend/equivalence_cases.h"
#include "tests/cuda/counting_device.h"
#include "tests/cuda/gpu.h"
#include "tests/cuda/gpu_ranks.h"
#include "tests/graph_text.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

TrainingModel modelOf(const std::string& name, Precision precision) {
  TrainingOptions options;
  options.precision = precision;
  options.optimizer = OptimizerKind::adamw;
  for (const EquivalenceSubject& s : equivalenceSubjects())
    if (s.name == name) return prepareTraining(modelFromText(s.text, s.referenceBatch), options);
  throw std::invalid_argument("there is no " + name);
}

constexpr const char* kAlone = "dp=1,mbs=4";

TrainingRun trained(const std::string& name, Precision precision, const StartRanks& start,
                    const char* strategy = kAlone, int64_t ranks = 1, int steps = 1) {
  const TrainingModel model = modelOf(name, precision);
  RunSettings settings;
  settings.start = start;
  settings.steps = steps;
  return runPlan(model, planOf(model, kEquivalenceBatch, strategy, ranks),
                 randomInputs(model, kEquivalenceBatch, 3), settings);
}

TEST(GpuPrecision, Tf32PlansMultiplyInTf32AndFp32PlansDoNot) {
  MESHPLAN_NEEDS_GPU();
  const TrainingRun exact = trained("transformer", Precision::fp32, {});
  const auto error = [&](Precision precision) {
    return worstDifference(exact.gradients,
                           trained("transformer", precision, startOnSharedGpu).gradients);
  };
  EXPECT_LT(error(Precision::fp32), 2e-5);
  const double rounded = error(Precision::tf32);
  EXPECT_GT(rounded, 5e-5);
  EXPECT_LT(rounded, 2e-2);
  EXPECT_EQ(worstDifference(exact.gradients, trained("transformer", Precision::tf32, {}).gradients),
            0)
      << "the processor computes tf32 plans in fp32";
}

TEST(GpuPrecision, Fp16TrainsToTheLossOfFp32) {
  MESHPLAN_NEEDS_GPU();
  constexpr int kSteps = 4;
  struct Case {
    const char *model, *strategy;
    int64_t ranks;
  };
  for (const Case& c : {Case{"transformer", kAlone, 1},
                        {"perceptron", kAlone, 1},
                        {"perceptron", "dp=2,tp=2,mbs=4,zero=2", 4},
                        {"perceptron", "pp=2,dp=2,mbs=2,zero=1", 4}}) {
    const auto expected = trained(c.model, Precision::fp32, {}, kAlone, 1, kSteps).losses;
    const auto losses =
        trained(c.model, Precision::fp16, startOnSharedGpu, c.strategy, c.ranks, kSteps).losses;
    ASSERT_EQ(losses.size(), expected.size());
    EXPECT_LT(losses.back(), losses.front());
    for (size_t s = 0; s < losses.size(); ++s)
      EXPECT_NEAR(losses[s], expected[s], 5e-3 * expected[s])
          << c.model << " " << c.strategy << " step " << s + 1;
  }
}

/// What one fp16 run left, of every rank.
struct ScaledRun {
  std::vector<LossScale> scales;                                 // by rank
  std::vector<std::map<std::string, HostTensor>> weightsOfStep;  // before the first, after each
  int replays = 0;
};

/// Takes the same algorithms whenever it is opened.
class SteadyDevice final : public CountingDevice {
 public:
  SteadyDevice(bool captures, int& replays) : CountingDevice(captures, replays) {
    context().kept<MatrixSettings>().timesCandidates = false;
  }
};

StartRanks alone(bool captures, int& replays) {
  return [captures, &replays](int ranks, const RankBody& body) {
    runInProcess(ranks, [&](Communicator& world) {
      SteadyDevice device(captures, replays);
      body(device, world, world);
    });
  };
}

/// Trains from this loss scale on.
ScaledRun trainScaled(const char* strategy, int ranks, int steps, LossScale scale,
                      const StartRanks& start) {
  const TrainingModel model = modelOf("perceptron", Precision::fp16);
  const Program program =
      lower(model, planOf(model, kEquivalenceBatch, strategy, ranks), {}, LoweredFor::execution);
  validate(program);
  const auto inputs = randomInputs(model, kEquivalenceBatch, 3);
  StepInputs views;
  for (const auto& [id, tensor] : inputs) views[id] = tensor.view();
  ScaledRun run;
  run.scales.resize(static_cast<size_t>(ranks));
  run.weightsOfStep.resize(static_cast<size_t>(steps) + 1);
  start(ranks, [&](RankDevice& device, Communicator& world, Communicator& data) {
    Executor executor(model.graph, program, device, world, data);
    setParameters(executor, [&](TensorId p) { return initialValues(model.graph, p, 7); });
    *executor.lossScale() = scale;
    Executor::Options options;
    for (int s = 0; s <= steps; ++s) {
      options.optimizer.step = s;
      if (s > 0) executor.step(views, options);
      for (size_t t = 0; t < model.graph.tensorCount(); ++t) {
        if (!model.updateOf[t].valid()) continue;
        for (const ParameterKind kind : {ParameterKind::weights, ParameterKind::master,
                                         ParameterKind::firstState, ParameterKind::secondState}) {
          auto whole = collectParameter(executor, TensorId(t), kind);
          if (world.rank() == 0 && whole)
            run.weightsOfStep[static_cast<size_t>(s)].emplace(
                model.graph.tensor(TensorId(t)).name + std::to_string(static_cast<int>(kind)),
                std::move(*whole));
        }
      }
    }
    run.scales[static_cast<size_t>(world.rank())] = *executor.lossScale();
  });
  return run;
}

TEST(GpuPrecision, AStepThatOverflowsChangesNothingOnAnyRankAndHalvesTheScale) {
  MESHPLAN_NEEDS_GPU();
  const std::pair<const char*, int> plans[] = {{kAlone, 1},
                                               {"dp=2,tp=2,mbs=4,zero=2", 4},
                                               {"dp=2,mbs=4,zero=3", 2},
                                               {"pp=2,dp=2,mbs=2,zero=1", 4},
                                               {"pp=2,vpp=2,mbs=2,schedule=interleaved", 2}};
  for (const auto& [strategy, ranks] : plans) {
    SCOPED_TRACE(strategy);
    const LossScale huge{std::ldexp(1, 100), 7, 0};
    const ScaledRun run = trainScaled(strategy, ranks, 2, huge, startOnSharedGpu);
    for (const LossScale& s : run.scales) EXPECT_EQ(s, (LossScale{std::ldexp(1, 98), 0, 2}));
    ASSERT_FALSE(run.weightsOfStep[0].empty());
    for (int step : {1, 2})
      EXPECT_EQ(worstDifference(run.weightsOfStep[0], run.weightsOfStep[size_t(step)]), 0);
    const ScaledRun good = trainScaled(strategy, ranks, 1, {1024, 7, 0}, startOnSharedGpu);
    for (const LossScale& s : good.scales) EXPECT_EQ(s, (LossScale{1024, 8, 0}));
    EXPECT_GT(worstDifference(good.weightsOfStep[0], good.weightsOfStep[1]), 0);
  }
}

TEST(GpuPrecision, TheScaleIsNotSeenByTheOptimizer) {
  MESHPLAN_NEEDS_GPU();
  const ScaledRun low = trainScaled(kAlone, 1, 2, {256, 0, 0}, startOnSharedGpu),
                  high = trainScaled(kAlone, 1, 2, {1024, 0, 0}, startOnSharedGpu);
  std::string where;
  EXPECT_LT(worstDifference(low.weightsOfStep[2], high.weightsOfStep[2], &where), 2e-2) << where;
}

TEST(GpuPrecision, SkippedStepsDoNotCountForTheOptimizer) {
  MESHPLAN_NEEDS_GPU();
  int replays = 0;
  // The second step after a skipped one is the first of the optimizer.
  const double last = std::ldexp(1, 40);
  const ScaledRun late = trainScaled(kAlone, 1, 40, {last, 0, 0}, alone(true, replays));
  const LossScale reached = late.scales[0];
  ASSERT_GT(reached.skippedSteps, 0);
  ASSERT_LT(reached.skippedSteps, 40);
  const auto skipped = static_cast<size_t>(reached.skippedSteps);
  const ScaledRun direct = trainScaled(kAlone, 1, 1, {reached.scale, 0, 0}, alone(true, replays));
  EXPECT_EQ(worstDifference(late.weightsOfStep[skipped], direct.weightsOfStep[0]), 0);
  EXPECT_EQ(worstDifference(late.weightsOfStep[skipped + 1], direct.weightsOfStep[1]), 0);
}

TEST(GpuPrecision, ACapturedStepIsCapturedAgainWhenTheScaleChanges) {
  MESHPLAN_NEEDS_GPU();
  constexpr int kSteps = 40;
  const auto on = [&](bool captures) {
    int replays = 0;
    ScaledRun run =
        trainScaled(kAlone, 1, kSteps, {std::ldexp(1, 40), 0, 0}, alone(captures, replays));
    run.replays = replays;
    return run;
  };
  const ScaledRun issued = on(false), captured = on(true);
  EXPECT_EQ(issued.replays, 0);
  EXPECT_EQ(captured.replays, kSteps - 1);
  EXPECT_GT(captured.scales[0].skippedSteps, 2);
  EXPECT_EQ(captured.scales, issued.scales);
  for (size_t s = 0; s <= kSteps; ++s)
    EXPECT_EQ(worstDifference(issued.weightsOfStep[s], captured.weightsOfStep[s]), 0) << s;
}

TEST(GpuPrecision, ACheckpointKeepsTheLossScale) {
  MESHPLAN_NEEDS_GPU();
  const TrainingModel model = modelOf("perceptron", Precision::fp16);
  const Program program =
      lower(model, planOf(model, kEquivalenceBatch, kAlone, 1), {}, LoweredFor::execution);
  const TrainingTask task{model.graph, program, model.referenceBatch, kEquivalenceBatch, "a"};
  const ScratchFolder folder;
  const auto train = [&](int64_t steps, const std::string& resume, const std::string& checkpoint) {
    TrainingSettings settings;
    settings.steps = steps;
    settings.resume = resume;
    settings.checkpoint = checkpoint;
    std::vector<StepReport> reports;
    runInProcess(1, [&](Communicator& world) {
      int replays = 0;
      RankParts parts{std::make_unique<SteadyDevice>(true, replays), nullptr};
      trainRank(task, settings, parts, world, [&](const StepReport& report) {
        reports.push_back(report);
        return true;
      });
    });
    return reports;
  };
  const std::string half = folder.file("half"), direct = folder.file("direct"),
                    resumed = folder.file("resumed");
  const auto whole = train(4, "", direct);
  train(2, "", half);
  const auto rest = train(2, half, resumed);
  EXPECT_EQ(SafetensorsFile(half).metadata().at("loss_scale"), "65536 2 0");
  EXPECT_EQ(SafetensorsFile(resumed).metadata(), SafetensorsFile(direct).metadata());
  ASSERT_EQ(rest.size(), 2);
  for (size_t s = 0; s < 2; ++s) {
    EXPECT_EQ(rest[s].loss, whole[s + 2].loss);
    EXPECT_EQ(rest[s].lossScale, whole[s + 2].lossScale);
    EXPECT_TRUE(rest[s].lossScale.has_value());
  }
}

}  // namespace
}  // namespace meshplan
