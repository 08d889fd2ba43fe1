// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/in_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <new>
#include <thread>

#include "core/error.h"

namespace meshplan {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string failure(int ranks, const std::function<void(Communicator&)>& body) {
  try {
    runInProcess(ranks, body);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::runtime);
    return e.what();
  }
  return "no error";
}

TEST(InProcess, RanksThatWaitForEachOtherAreToldWhoWaitsForWhat) {
  const std::string what = failure(3, [](Communicator& comm) {
    char x[8] = {};
    if (comm.rank() == 2) comm.barrier();
    comm.receive(x, 8, 1 - comm.rank());
  });
  EXPECT_THAT(what, AllOf(HasSubstr("no rank can go on"),
                          HasSubstr("rank 0 waits in receive of 8 bytes from rank 1"),
                          HasSubstr("rank 1 waits in receive of 8 bytes from rank 0"),
                          HasSubstr("rank 2 waits in barrier")));
}

TEST(InProcess, WaitingForARankThatHasEndedIsAnError) {
  const std::string what = failure(2, [](Communicator& comm) {
    if (comm.rank() == 0) comm.barrier();
  });
  EXPECT_THAT(what, AllOf(HasSubstr("rank 0 waits in barrier"), HasSubstr("rank 1 has ended")));
}

TEST(InProcess, ASlowRankIsWaitedFor) {
  runInProcess(2, [](Communicator& comm) {
    if (comm.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(300));
    comm.barrier();
    double x = 1;
    comm.allReduce(&x, 1, DType::f64, ReduceOp::sum);
    EXPECT_EQ(x, 2);
  });
}

TEST(InProcess, EveryOtherExceptionReachesTheCaller) {
  const auto body = [](Communicator& comm) {
    if (comm.rank() == 3) throw std::bad_alloc();
    comm.barrier();
  };
  EXPECT_THROW(runInProcess(4, body), std::bad_alloc);
}

TEST(InProcess, ManyRoundsOnMoreRanksThanCoresEnd) {
  runInProcess(8, [](Communicator& comm) {
    const auto pair = comm.split(comm.rank() / 2);
    float x = 1;
    for (int i = 0; i < 500; ++i) {
      comm.allReduce(&x, 1, DType::f32, ReduceOp::max);
      pair->barrier();
    }
    EXPECT_EQ(x, 1);
  });
}

TEST(InProcess, NoRanksAreRefused) {
  EXPECT_THROW(InProcessWorld(0), Error);
}

}  // namespace
}  // namespace meshplan
