// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/liveness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace meshplan {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const CommCall kSum{CommOp::sumAll, DType::f32, -1, 8};
const RankStatus kWaiting{.progress = 1, .waiting = 1, .call = kSum};
const RankStatus kBusy{.progress = 1, .waiting = 0, .call = {}};

/// Three ranks, seen by rank 0; `beat` lets others answer.
struct Watch {
  Clock::time_point start{}, now = start;
  Liveness liveness{0, 3, LivenessOptions{}, start};
  std::vector<std::string> reports;
  std::optional<std::string> failure;

  template <class Beat>
  void run(std::chrono::milliseconds duration, const RankStatus& mine, const Beat& beat) {
    for (const auto end = now + duration; now < end && !failure;) {
      now += 100ms;
      beat();
      auto verdict = liveness.tick(mine, start, now);
      for (auto& line : verdict.reports) reports.push_back(line);
      failure = verdict.failure;
    }
  }
};

TEST(Liveness, ASilentRankIsReportedOnceAndGivenUpAfterTheDeadline) {
  Watch w;
  w.run(40s, kWaiting, [&] { w.liveness.heard(1, kBusy, w.now); });
  EXPECT_THAT(w.reports,
              ElementsAre(AllOf(HasSubstr("rank 0: straggler: rank 2 has not answered for 5.0 s"),
                                HasSubstr("waits in all-reduce of 8 elements of fp32 for 5.0 s"),
                                HasSubstr("gives up in 30 s"))));
  ASSERT_TRUE(w.failure);
  EXPECT_THAT(*w.failure, HasSubstr("rank 2 has not answered for 35.0 s"));
}

TEST(Liveness, ARankThatAnswersAgainIsForgiven) {
  Watch w;
  const auto one = [&] { w.liveness.heard(1, kBusy, w.now); };
  w.run(20s, kWaiting, one);
  const auto both = [&] {
    one();
    w.liveness.heard(2, kBusy, w.now);
  };
  w.run(60s, kWaiting, both);
  EXPECT_FALSE(w.failure);
  EXPECT_THAT(w.reports, ElementsAre(HasSubstr("straggler: rank 2"),
                                     HasSubstr("rank 0: rank 2 answers again")));
}

TEST(Liveness, NobodyIsReportedWhileThisRankDoesNotWait) {
  Watch w;
  w.run(60s, kBusy, [] {});
  EXPECT_THAT(w.reports, IsEmpty());
  EXPECT_FALSE(w.failure);
}

TEST(Liveness, RanksThatComputeForLongAreNotStragglers) {
  Watch w;
  w.run(600s, kWaiting, [&] {
    for (const int r : {1, 2}) w.liveness.heard(r, kBusy, w.now);
  });
  EXPECT_THAT(w.reports, IsEmpty());
  EXPECT_FALSE(w.failure);
}

TEST(Liveness, APauseOfThisProcessIsNotHeldAgainstOthers) {
  Watch w;
  const auto all = [&] {
    for (const int r : {1, 2}) w.liveness.heard(r, kBusy, w.now);
  };
  w.run(1s, kWaiting, all);
  w.now += 100s;
  w.run(1s, kWaiting, [] {});
  w.run(10s, kWaiting, all);
  EXPECT_THAT(w.reports, IsEmpty());
}

TEST(Liveness, WhenAllWaitAndNothingMovesTheyAreTold) {
  Watch w;
  RankStatus receive = kWaiting;
  receive.call = {CommOp::receive, DType::u8, 0, 16};
  w.liveness.ended(2);
  w.run(20s, kWaiting, [&] { w.liveness.heard(1, receive, w.now); });
  ASSERT_TRUE(w.failure);
  EXPECT_THAT(*w.failure, AllOf(HasSubstr("no rank can go on: rank 0 waits in all-reduce"),
                                HasSubstr("rank 1 waits in receive of 16 bytes from rank 0"),
                                HasSubstr("rank 2 has ended")));
  EXPECT_LT(w.now - w.start, 6s);
}

TEST(Liveness, AWaitDuringWhichBytesMoveIsNoDeadlock) {
  Watch w;
  RankStatus moving = kWaiting;
  w.run(60s, kWaiting, [&] {
    ++moving.progress;
    w.liveness.heard(1, moving, w.now);
    w.liveness.heard(2, kWaiting, w.now);
  });
  EXPECT_FALSE(w.failure);
}

}  // namespace
}  // namespace meshplan
