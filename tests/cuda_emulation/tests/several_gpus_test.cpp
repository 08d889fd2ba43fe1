// SPDX-License-Identifier: Apache-2.0
// Ranks that are threads with a GPU each, joined by what stands in for NCCL.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <mutex>

#include "backend/comm/in_process.h"
#include "backend/cuda/cuda_device.h"
#include "backend/gpus.h"
#include "backend/training_run.h"
#include "core/error.h"
#include "planner/lowering.h"
#include "tests/backend/equivalence_cases.h"
#include "tests/cuda/nccl_ranks.h"
#include "tests/cuda_emulation/emulator.h"
#include "tests/cuda_emulation/nccl_stand_in/control.h"

namespace meshplan {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class SeveralGpus : public testing::Test {
 protected:
  ~SeveralGpus() override {
    control<decltype(&ncclStandInFail)>("ncclStandInFail")("", 0, 0);
    emulation::failCall(0, cudaSuccess);
    EXPECT_EQ(control<decltype(&ncclStandInOpen)>("ncclStandInOpen")(), 0)
        << "communicators were not ended";
    emulation::setDevices(1);
    emulation::setSchedule(0);
  }

  template <class F>
  static F control(const char* name) {
    static const DynamicLibrary library(ncclOfTests());
    return library.function<F>(name);
  }
  static void failNccl(int k) {
    control<decltype(&ncclStandInFail)>("ncclStandInFail")("", k, ncclSystemError);
  }
};

/// Steps of a plan on ranks of the backend, which must have a GPU each.
TrainingRun runOnGpus(const TrainingModel& model, const Plan& plan,
                      const std::map<uint32_t, HostTensor>& inputs, int steps) {
  RunSettings settings;
  settings.steps = steps;
  settings.optimizer.learningRate = 1e-3;
  settings.start = [](int ranks, const RankBody& body) {
    const auto backend = gpuBackend(ranks, ncclOfTests());
    EXPECT_EQ(backend->transport(), "nccl");
    EXPECT_TRUE(backend->ownDevices() && backend->teaches());
    backend->runThreads(ranks, [&](Communicator& world) {
      const RankParts parts = backend->open(world);
      EXPECT_EQ(static_cast<CudaDevice&>(*parts.device).context().index(), world.rank());
      body(*parts.device, world, *parts.data);
    });
  };
  return runPlan(model, plan, inputs, settings);
}

struct PlanCase {
  size_t subject;
  const char* strategy;
  int ranks;
};

class PlansOnSeveralGpus : public SeveralGpus, public testing::WithParamInterface<PlanCase> {};

// The third step is a captured one that is repeated.
TEST_P(PlansOnSeveralGpus, TrainAsOneProcessorDoes) {
  const auto& [subject, strategy, ranks] = GetParam();
  emulation::setDevices(ranks);
  emulation::setSchedule(static_cast<uint64_t>(ranks) + subject);
  const EquivalenceSubject& s = equivalenceSubjects()[subject];
  const TrainingModel model = prepared(s, Precision::fp64);
  const auto inputs = randomInputs(model, kEquivalenceBatch, 3);
  const Plan plan = planOf(model, kEquivalenceBatch, strategy, ranks);
  RunSettings onProcessor;
  onProcessor.steps = 3;
  onProcessor.optimizer.learningRate = 1e-3;
  const TrainingRun reference = runPlan(model, alone(model, s, plan), inputs, onProcessor);
  const TrainingRun run = runOnGpus(model, plan, inputs, 3);
  ASSERT_EQ(run.losses.size(), 3u);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_NEAR(run.losses[i], reference.losses[i], 1e-8 * run.losses[i]) << "step " << i;
  std::string where;
  EXPECT_LT(worstDifference(reference.gradients, run.gradients, &where), 1e-11) << where;
}

INSTANTIATE_TEST_SUITE_P(
    , PlansOnSeveralGpus,
    testing::Values(PlanCase{0, "dp=2", 2}, PlanCase{0, "tp=2", 2}, PlanCase{0, "pp=2,mbs=4", 2},
                    PlanCase{2, "dp=2,mbs=4,zero=3", 2}, PlanCase{0, "dp=2,tp=2", 4},
                    PlanCase{2, "tp=2,pp=2,mbs=4,sp=on", 4}, PlanCase{3, "dp=2,ep=2,mbs=4", 2},
                    PlanCase{0, "dp=2,pp=2,mbs=2,schedule=interleaved,vpp=2", 4}),
    [](const auto& info) {
      std::string name = fmt::format("{}_{}", info.param.subject, info.param.strategy);
      for (char& c : name)
        if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
      return name;
    });

/// A run of three steps on four ranks; what it threw, or nothing. No rank may hang.
class FailingRun {
 public:
  FailingRun()
      : model_(prepared(equivalenceSubjects()[0], Precision::fp32)),
        plan_(planOf(model_, kEquivalenceBatch, "dp=2,tp=2", 4)),
        program_(lower(model_, plan_, {}, LoweredFor::execution)) {}

  std::string train(const std::function<void(int rank, int64_t step)>& afterStep = {}) const {
    const auto backend = gpuBackend(4, ncclOfTests());
    TrainingSettings settings;
    settings.steps = 3;
    settings.optimizer.kind = plan_.training.optimizer;
    try {
      backend->runThreads(4, [&](Communicator& world) {
        RankParts parts = backend->open(world);
        trainRank({model_.graph, program_, model_.referenceBatch, kEquivalenceBatch, {}}, settings,
                  parts, world, [&](const StepReport& report) {
                    if (afterStep) afterStep(world.rank(), report.step);
                    return true;
                  });
      });
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::runtime) << error.what();
      return error.what();
    }
    return {};
  }

 private:
  const TrainingModel model_;
  const Plan plan_;
  const Program program_;
};

TEST_F(SeveralGpus, EveryNcclCallThatFailsEndsAllRanksWithItsName) {
  emulation::setDevices(4);
  const FailingRun run;
  ASSERT_EQ(run.train(), "");
  const int64_t before = emulation::allocations();
  int failures = 0;
  for (int k = 1; k < 3000; k += 1 + k / 3) {
    failNccl(k);
    const std::string what = run.train();
    failNccl(0);
    if (what.empty()) continue;
    ++failures;
    EXPECT_THAT(what, AllOf(HasSubstr("failed on GPU"), HasSubstr("unhandled system error")));
    ASSERT_EQ(emulation::allocations(), before) << "call " << k;
  }
  fmt::print("{} runs ended by a failing call of NCCL\n", failures);
  EXPECT_GT(failures, 8);
  EXPECT_EQ(run.train(), "");
}

TEST_F(SeveralGpus, ARankThatFailsBetweenStepsEndsTheOthersAndKeepsItsError) {
  emulation::setDevices(4);
  const FailingRun run;
  for (const int who : {0, 3}) {
    const std::string what = run.train([&](int rank, int64_t step) {
      if (rank == who && step == 2) throw Error(ErrorKind::runtime, "a broken file", "mend it");
    });
    EXPECT_THAT(what, AllOf(HasSubstr("a broken file"), HasSubstr("mend it")));
  }
}

/// Its error is known before its device has come to rest: the others must not wait for that.
TEST_F(SeveralGpus, ARankThatFailsEndsTheOthersBeforeItUnwinds) {
  emulation::setDevices(2);
  const auto backend = gpuBackend(2, ncclOfTests());
  std::mutex mutex;
  std::vector<int> ended;
  EXPECT_THROW(backend->runThreads(2,
                                   [&](Communicator& world) {
                                     RankParts parts = backend->open(world);
                                     auto* x =
                                         static_cast<float*>(parts.device->allocate(64, "a test"));
                                     try {
                                       if (world.rank() == 1) parts.data->abort("the disk is full");
                                       parts.data->allReduce(x, 16, DType::f32, ReduceOp::sum);
                                       parts.device->endStep();
                                     } catch (const Error&) {
                                       const std::lock_guard lock(mutex);
                                       ended.push_back(world.rank());
                                       throw;
                                     }
                                   }),
               PeerError);
  EXPECT_EQ(ended.size(), 2u);
}

TEST_F(SeveralGpus, MoreRanksThanGpusAreRefusedWithWhatToDo) {
  emulation::setDevices(2);
  try {
    gpuBackend(3, ncclOfTests());
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("3 ranks, and 2 GPUs"), HasSubstr("CUDA_VISIBLE_DEVICES=0")));
  }
}

TEST_F(SeveralGpus, WithoutNcclSeveralRanksAreRefusedAndOneIsNot) {
  emulation::setDevices(2);
  const LibraryNames missing = {"NCCL", {"libmissing.so.2"}, "install it"};
  EXPECT_THROW(gpuBackend(2, missing), Error);
  EXPECT_NO_THROW(gpuBackend(1, missing));
}

/// As processes do, which see only what they are told of each other.
TEST_F(SeveralGpus, RanksOfAWorldTakeTheGpuOfTheirNumberAndAgreeThatThereAreTooFew) {
  emulation::setDevices(2);
  runInProcess(2, [&](Communicator& world) {
    const auto backend = gpuBackend(world, ncclOfTests());
    const RankParts parts = backend->open(world);
    EXPECT_EQ(static_cast<CudaDevice&>(*parts.device).context().index(), world.rank());
    EXPECT_EQ(backend->transport(), "nccl");
    EXPECT_TRUE(backend->ownDevices());
    EXPECT_EQ(parts.data->size(), 2);
  });
  runInProcess(3, [&](Communicator& world) {
    try {
      gpuBackend(world, ncclOfTests());
      ADD_FAILURE() << "rank " << world.rank() << " went on";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_THAT(error.what(), HasSubstr("see 2 GPUs, and each needs one of its own"));
    }
  });
}

TEST_F(SeveralGpus, RanksOfAWorldShareThemWhereNcclAllowsIt) {
  emulation::setDevices(2);
  setenv("NCCL_MULTI_RANK_GPU_ENABLE", "1", 1);
  runInProcess(4, [&](Communicator& world) {
    const auto backend = gpuBackend(world, ncclOfTests());
    const RankParts parts = backend->open(world);
    EXPECT_EQ(static_cast<CudaDevice&>(*parts.device).context().index(), world.rank() % 2);
    EXPECT_FALSE(backend->ownDevices() || backend->teaches());
    EXPECT_EQ(backend->memory(), Bytes(int64_t{2} << 30));
  });
  unsetenv("NCCL_MULTI_RANK_GPU_ENABLE");
}

}  // namespace
}  // namespace meshplan
