// SPDX-License-Identifier: Apache-2.0
// The communicator over NCCL with what stands in for it: several ranks, and everything that fails.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

#include "backend/comm/in_process.h"
#include "backend/cuda/cuda_device.h"
#include "backend/cuda/nccl_communicator.h"
#include "core/error.h"
#include "tests/backend/communicator_conformance.h"
#include "tests/backend/equivalence_cases.h"
#include "tests/cuda/device_communicator.h"
#include "tests/cuda/gpu_ranks.h"
#include "tests/cuda/nccl_ranks.h"
#include "tests/cuda_emulation/emulator.h"
#include "tests/cuda_emulation/nccl_stand_in/control.h"

namespace meshplan {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const DynamicLibrary& standIn() {
  static const DynamicLibrary library(ncclOfTests());
  return library;
}

#define MESHPLAN_CONTROL(function) MESHPLAN_SYMBOL(standIn(), function)

/// All ranks share the emulated GPU, as NCCL is told that they may.
class NcclStandIn : public testing::Test {
 protected:
  NcclStandIn() { setenv("NCCL_MULTI_RANK_GPU_ENABLE", "1", 1); }
  ~NcclStandIn() override {
    unsetenv("NCCL_MULTI_RANK_GPU_ENABLE");
    MESHPLAN_CONTROL(ncclStandInFail)("", 0, 0);
    MESHPLAN_CONTROL(ncclStandInAsyncError)(0);
    emulation::setSchedule(0);
    EXPECT_EQ(MESHPLAN_CONTROL(ncclStandInOpen)(), 0) << "communicators were not ended";
  }
};

/// Runs `body` on ranks that are connected by NCCL beside a world of hosts.
void runOverNccl(
    int ranks,
    const std::function<void(Communicator& comm, Communicator& hosts, CudaDevice& device)>& body) {
  InProcessWorld world(ranks);
  runInProcess(world, [&](Communicator& hosts) {
    const Nccl nccl(ncclOfTests());
    CudaDevice device(0, hosts.rank());
    const auto comm = connectNccl(nccl, device.context(), hosts);
    body(*comm, hosts, device);
  });
}

void runThroughNccl(int ranks, const std::function<void(Communicator&)>& body) {
  InProcessWorld world(ranks);
  runInProcess(world, [&](Communicator& hosts) {
    const Nccl nccl(ncclOfTests());
    CudaContext context(0, hosts.rank());
    DeviceCommunicator comm(connectNccl(nccl, context, hosts), context);
    body(comm);
  });
}

/// What the first rank to fail threw; all of them must fail with Error(runtime).
std::string failure(int ranks,
                    const std::function<void(Communicator&, Communicator&, CudaDevice&)>& body) {
  try {
    runOverNccl(ranks, [&](Communicator& comm, Communicator& hosts, CudaDevice& device) {
      try {
        body(comm, hosts, device);
        ADD_FAILURE() << "rank " << hosts.rank() << " went on";
      } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::runtime) << e.what();
        throw;
      }
    });
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST_F(NcclStandIn, KeepsThePromisesOfAllCommunicators) {
  for (const int ranks : {1, 2, 3, 5, 8})
    for (const ConformanceCheck& check : conformanceChecks()) {
      SCOPED_TRACE(fmt::format("{} on {} ranks", check.name, ranks));
      emulation::setSchedule(static_cast<uint64_t>(ranks));
      runThroughNccl(ranks, check.run);
    }
}

void startOverNccl(int count, const RankBody& body) {
  runOverNccl(count, [&](Communicator& comm, Communicator& hosts, CudaDevice& device) {
    body(device, hosts, comm);
  });
}

TEST_F(NcclStandIn, InFp16AllStagesAgreeOnAnUpdate) {
  const TrainingModel model = prepared(equivalenceSubjects()[0], Precision::fp16);
  const auto trained = [&](const char* strategy, int64_t ranks, const StartRanks& start) {
    RunSettings settings;
    settings.start = start;
    settings.optimizer.learningRate = 0.1;
    return runPlan(model, planOf(model, kEquivalenceBatch, strategy, ranks),
                   randomInputs(model, kEquivalenceBatch, 3), settings);
  };
  const TrainingRun expected = trained("dp=1,mbs=4", 1, startOnSharedGpu);
  emulation::setSchedule(5);
  const TrainingRun found = trained("dp=2,pp=2,mbs=2,zero=1", 4, startOverNccl);
  std::string where;
  EXPECT_LT(worstDifference(expected.weights, found.weights, &where), 2e-3) << where;
  EXPECT_LT(worstDifference(expected.gradients, found.gradients, &where), 2e-2) << where;
  // A bias starts at zero, and stays there when a step is skipped.
  for (const auto& [name, values] : found.weights)
    EXPECT_NE(toDoubles(values), std::vector<double>(toDoubles(values).size())) << name;
}

TEST_F(NcclStandIn, PlansHaveTheLossAndGradientsOfOneProcessor) {
  const std::vector<std::tuple<size_t, const char*, int64_t>> plans = {
      {0, "dp=2,tp=2,pp=2,mbs=2,zero=2", 8},
      {0, "dp=2,pp=2,mbs=2,schedule=interleaved,vpp=2", 4},
      {2, "dp=2,mbs=4,zero=3", 2},
      {2, "tp=2,pp=2,mbs=4,sp=on", 4},
      {3, "dp=2,ep=2,mbs=4", 2}};
  for (const auto& [subject, strategy, ranks] : plans) {
    SCOPED_TRACE(strategy);
    const EquivalenceSubject& s = equivalenceSubjects()[subject];
    const TrainingModel model = prepared(s, Precision::fp64);
    const auto inputs = randomInputs(model, kEquivalenceBatch, 3);
    const Plan plan = planOf(model, kEquivalenceBatch, strategy, ranks);
    const TrainingRun reference = runPlan(model, alone(model, s, plan), inputs);
    RunSettings settings;
    settings.start = startOverNccl;
    emulation::setSchedule(static_cast<uint64_t>(ranks));
    const TrainingRun run = runPlan(model, plan, inputs, settings);
    EXPECT_NEAR(run.losses[0], reference.losses[0], 1e-11 * run.losses[0]);
    std::string where;
    EXPECT_LT(worstDifference(reference.gradients, run.gradients, &where), 1e-11) << where;
  }
}

/// Every operation once.
void callEverything(Communicator& comm, Communicator&, CudaDevice& device) {
  const auto part = comm.split(comm.rank() % 2);
  auto* x = static_cast<float*>(device.allocate(1024 * sizeof(float), "a test"));
  comm.allReduce(x, 100, DType::f32, ReduceOp::sum);
  comm.reduceScatter(x, x + 512, 10, DType::f32);
  comm.allGather(x, x + 512, 40);
  comm.allToAll(x, x + 512, 40);
  comm.broadcast(x, 40, 1);
  comm.send(x, 40, (comm.rank() + 1) % comm.size());
  comm.receive(x + 512, 40, (comm.rank() + comm.size() - 1) % comm.size());
  device.context().synchronize();
  comm.barrier();
  device.context().synchronize();
}

TEST_F(NcclStandIn, EachCallThatFailsIsNamedAndEndsAllRanks) {
  for (const char* call :
       {"ncclGetUniqueId", "ncclCommInitRankConfig", "ncclCommSplit", "ncclCommGetAsyncError",
        "ncclAllReduce", "ncclReduceScatter", "ncclAllGather", "ncclBroadcast", "ncclSend",
        "ncclRecv", "ncclGroupStart", "ncclGroupEnd"}) {
    SCOPED_TRACE(call);
    MESHPLAN_CONTROL(ncclStandInFail)(call, 1, ncclSystemError);
    std::string what;
    std::atomic<int> ended{0};
    try {
      runOverNccl(3, [&](Communicator& comm, Communicator& hosts, CudaDevice& device) {
        try {
          callEverything(comm, hosts, device);
        } catch (const Error&) {
          ++ended;
          throw;
        }
        hosts.barrier();  // until the one that failed has said so
      });
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::runtime);
      what = e.what();
    }
    EXPECT_THAT(what, AllOf(HasSubstr(call), HasSubstr("GPU 0 of rank"),
                            HasSubstr("unhandled system error")));
    EXPECT_EQ(MESHPLAN_CONTROL(ncclStandInOpen)(), 0);
  }
}

TEST_F(NcclStandIn, ALaterErrorEndsTheWait) {
  const std::string what =
      failure(2, [](Communicator& comm, Communicator& hosts, CudaDevice& device) {
        auto* x = static_cast<float*>(device.allocate(64, "a test"));
        hosts.barrier();  // until all are connected
        if (hosts.rank() == 0) {
          comm.allReduce(x, 16, DType::f32, ReduceOp::sum);  // the other never comes
          MESHPLAN_CONTROL(ncclStandInAsyncError)(ncclSystemError);
          device.context().synchronize();
        }
        hosts.barrier();
      });
  EXPECT_THAT(what, AllOf(HasSubstr("communication failed on GPU 0 of rank 0"),
                          HasSubstr("unhandled system error")));
}

TEST_F(NcclStandIn, ARankThatGivesUpEndsTheWaitOfTheOthers) {
  const std::string what =
      failure(3, [](Communicator& comm, Communicator& hosts, CudaDevice& device) {
        if (hosts.rank() == 2) comm.abort("the disk is full");
        auto* x = static_cast<float*>(device.allocate(64, "a test"));
        comm.allReduce(x, 16, DType::f32, ReduceOp::sum);
        device.context().synchronize();
      });
  EXPECT_THAT(what, HasSubstr("rank 2 gave up: the disk is full"));
}

TEST_F(NcclStandIn, ARankThatNeverComesToASplitIsNotWaitedForWhenItGivesUp) {
  const std::string what = failure(3, [](Communicator& comm, Communicator& hosts, CudaDevice&) {
    if (hosts.rank() == 1) throw Error(ErrorKind::runtime, "no memory");
    comm.split(0);
  });
  EXPECT_EQ(what, "no memory");
}

TEST_F(NcclStandIn, RanksThatShareAGpuAreNamedWhereNcclRefusesThem) {
  InProcessWorld world(3);
  try {
    runInProcess(world, [&](Communicator& hosts) {
      MESHPLAN_CONTROL(ncclStandInVersion)(22809);
      const Nccl nccl(ncclOfTests());
      MESHPLAN_CONTROL(ncclStandInVersion)(0);
      CudaContext context(0, hosts.rank());
      EXPECT_THROW(connectNccl(nccl, context, hosts), Error);
      connectNccl(nccl, context, hosts);
    });
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_THAT(e.what(), AllOf(HasSubstr("ranks 0 and 1 use the same GPU"),
                                HasSubstr("NCCL 2.28.9"), HasSubstr("2.30.3")));
  }
}

TEST_F(NcclStandIn, RanksWithOtherVersionsAreNamed) {
  InProcessWorld world(3);
  try {
    runInProcess(world, [&](Communicator& hosts) {
      MESHPLAN_CONTROL(ncclStandInVersion)(hosts.rank() == 2 ? 22703 : 23003);
      const Nccl nccl(ncclOfTests());
      MESHPLAN_CONTROL(ncclStandInVersion)(0);
      CudaContext context(0, hosts.rank());
      connectNccl(nccl, context, hosts);
    });
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_THAT(e.what(), HasSubstr("rank 0 has NCCL 2.30.3 and rank 2 has NCCL 2.27.3"));
  }
}

TEST_F(NcclStandIn, VersionsThatCannotSplitAreRefused) {
  MESHPLAN_CONTROL(ncclStandInVersion)(21703);
  EXPECT_THROW(Nccl{ncclOfTests()}, Error);
  MESHPLAN_CONTROL(ncclStandInVersion)(21805);
  EXPECT_NO_THROW(Nccl{ncclOfTests()});
  MESHPLAN_CONTROL(ncclStandInVersion)(0);
}

using NcclStandInDeathTest = NcclStandIn;

TEST_F(NcclStandInDeathTest, AnAbortThatHangsEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto hang = [] {
    InProcessWorld world(1);
    const auto hosts = world.connect(0);
    const Nccl nccl(ncclOfTests());
    CudaContext context(0, 0);
    const auto comm = connectNccl(nccl, context, *hosts, std::chrono::milliseconds(300));
    MESHPLAN_CONTROL(ncclStandInHangInAbort)(1);
    comm->abort("the disk is full");
  };
  EXPECT_EXIT(hang(), testing::ExitedWithCode(exitCode(ErrorKind::runtime)),
              "ncclCommAbort of rank 0 hangs");
}

}  // namespace
}  // namespace meshplan
