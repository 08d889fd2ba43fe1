// SPDX-License-Identifier: Apache-2.0
// Every communicator against the same checks, on 1 to 8 ranks, and what all of them refuse.
#include "backend/communicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "backend/comm/in_process.h"
#include "backend/comm/sockets.h"
#include "core/error.h"
#include "tests/backend/communicator_conformance.h"

namespace meshplan {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;

struct Kind {
  std::string name;
  std::function<void(int ranks, const std::function<void(Communicator&)>&)> run;
};

/// Each rank as a thread with sockets of its own, as if it were a process.
void runSockets(int ranks, const std::function<void(Communicator&)>& body) {
  Rendezvous meeting{.size = ranks, .token = "test"};
  Fd listener = listenOnLoopback(&meeting.port);
  std::exception_ptr first;
  std::once_flag once;
  const auto runRank = [&](int rank) {
    Rendezvous mine = meeting;
    mine.rank = rank;
    if (rank == 0) mine.listener = listener.release();
    const auto communicator = connectSockets(mine);
    try {
      body(*communicator);
    } catch (const std::exception& e) {
      std::call_once(once, [&] { first = std::current_exception(); });
      communicator->abort(e.what());
    }
  };
  std::vector<std::thread> threads;
  for (int r = 0; r < ranks; ++r) threads.emplace_back(runRank, r);
  for (std::thread& thread : threads) thread.join();
  if (first) std::rethrow_exception(first);
}

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"InProcess", [](int ranks, const auto& body) { runInProcess(ranks, body); }},
      {"Sockets", runSockets}};
  return all;
}

class CommunicatorConformance : public ::testing::TestWithParam<std::tuple<size_t, size_t>> {};

TEST_P(CommunicatorConformance, HoldsOnOneToEightRanks) {
  const auto& [kind, check] = GetParam();
  for (const int ranks : {1, 2, 3, 4, 5, 6, 7, 8}) {
    SCOPED_TRACE(std::to_string(ranks) + " ranks");
    kinds()[kind].run(ranks, conformanceChecks()[check].run);
  }
}

INSTANTIATE_TEST_SUITE_P(, CommunicatorConformance,
                         ::testing::Combine(::testing::Range<size_t>(0, kinds().size()),
                                            ::testing::Range<size_t>(0,
                                                                     conformanceChecks().size())),
                         [](const auto& info) {
                           return kinds()[std::get<0>(info.param)].name + "_" +
                                  conformanceChecks()[std::get<1>(info.param)].name;
                         });

class CommunicatorErrors : public ::testing::TestWithParam<size_t> {
 protected:
  /// What the first failing rank threw; every rank must throw Error(runtime).
  std::string failure(int ranks, const std::function<void(Communicator&)>& body) {
    try {
      kinds()[GetParam()].run(ranks, [&](Communicator& comm) {
        try {
          body(comm);
          ADD_FAILURE() << "rank " << comm.rank() << " went on";
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
};

INSTANTIATE_TEST_SUITE_P(, CommunicatorErrors, ::testing::Range<size_t>(0, kinds().size()),
                         [](const auto& info) { return kinds()[info.param].name; });

TEST_P(CommunicatorErrors, OtherCountsAreNamed) {
  const std::string what = failure(3, [](Communicator& comm) {
    float x[8] = {};
    comm.allReduce(x, comm.rank() == 2 ? 8 : 4, DType::f32, ReduceOp::sum);
    comm.barrier();
  });
  EXPECT_THAT(what, AllOf(HasSubstr("rank 2"), HasSubstr("all-reduce of 8 elements of fp32"),
                          HasSubstr("all-reduce of 4 elements of fp32")));
}

TEST_P(CommunicatorErrors, OtherDtypesAreNamed) {
  const std::string what = failure(2, [](Communicator& comm) {
    double x[8] = {};
    comm.allReduce(x, 4, comm.rank() == 1 ? DType::f64 : DType::f32, ReduceOp::sum);
    comm.barrier();
  });
  EXPECT_THAT(what, AllOf(HasSubstr("of fp64"), HasSubstr("of fp32")));
}

TEST_P(CommunicatorErrors, OtherOperationsAreNamed) {
  const std::string what = failure(4, [](Communicator& comm) {
    char x[64] = {};
    char y[256] = {};
    if (comm.rank() == 1)
      comm.allGather(x, y, 64);
    else
      comm.broadcast(x, 64, 0);
    comm.barrier();
  });
  // Whoever notices it first may already be in the barrier.
  EXPECT_THAT(what, AllOf(HasSubstr("rank 1 calls all-gather of 64 bytes"),
                          AnyOf(HasSubstr("broadcast of 64 bytes from rank 0"),
                                HasSubstr("calls barrier"))));
}

TEST_P(CommunicatorErrors, AReceiveOfAnotherSizeNamesBoth) {
  const std::string what = failure(2, [](Communicator& comm) {
    char x[64] = {};
    if (comm.rank() == 0)
      comm.send(x, 10, 1);
    else
      comm.receive(x, 12, 0);
    comm.barrier();
  });
  EXPECT_THAT(what, AllOf(HasSubstr("receive of 12 bytes from rank 0"), HasSubstr("10 bytes")));
}

TEST_P(CommunicatorErrors, AnotherDtypeThanFloatingPointIsRefused) {
  const std::string what = failure(2, [](Communicator& comm) {
    int64_t x = 1;
    comm.allReduce(&x, 1, DType::i64, ReduceOp::sum);
  });
  EXPECT_THAT(what, HasSubstr("cannot reduce int64"));
}

TEST_P(CommunicatorErrors, AbortWakesAllAndNamesTheRankAndItsReason) {
  for (const int who : {0, 2}) {
    const std::string what = failure(4, [who](Communicator& comm) {
      const auto half = comm.split(comm.rank() / 2);
      char x = 0;
      if (comm.rank() == who) comm.abort("the disk is full");
      if (comm.rank() == 1) comm.receive(&x, 1, 0);
      if (comm.rank() == 3) half->barrier();
      comm.barrier();
    });
    EXPECT_THAT(what,
                AllOf(HasSubstr("rank " + std::to_string(who)), HasSubstr("the disk is full")));
  }
}

TEST_P(CommunicatorErrors, RanksThatWaitForEachOtherAreTold) {
  const std::string what = failure(2, [](Communicator& comm) {
    char x = 0;
    comm.receive(&x, 1, 1 - comm.rank());
  });
  EXPECT_THAT(what, AllOf(HasSubstr("no rank can go on"),
                          HasSubstr("rank 0 waits in receive of 1 bytes from rank 1"),
                          HasSubstr("rank 1 waits in receive of 1 bytes from rank 0")));
}

TEST_P(CommunicatorErrors, ARankThatThrowsEndsAll) {
  std::string what;
  try {
    kinds()[GetParam()].run(3, [](Communicator& comm) {
      comm.barrier();
      if (comm.rank() == 1) throw Error(ErrorKind::input, "a broken file");
      EXPECT_THROW(comm.barrier(), Error);
    });
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    what = e.what();
  }
  EXPECT_EQ(what, "a broken file");
}

}  // namespace
}  // namespace meshplan
