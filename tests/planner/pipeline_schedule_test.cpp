// SPDX-License-Identifier: Apache-2.0
#include "planner/pipeline_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include <map>
#include <set>
#include <string>

#include "core/error.h"

namespace meshplan {
namespace {

using testing::ElementsAre;

std::string text(const std::vector<ScheduleStep>& order, bool withChunk) {
  std::string out;
  for (const ScheduleStep& step : order) {
    if (!out.empty()) out += ' ';
    out += step.backward ? 'B' : 'F';
    out += std::to_string(step.microBatch);
    if (withChunk) out += std::string(1, char('a' + step.chunk));
  }
  return out;
}

int64_t peakTotal(const std::vector<ScheduleStep>& order) {
  int64_t held = 0, peak = 0;
  for (const ScheduleStep& step : order) peak = std::max(peak, held += step.backward ? -1 : 1);
  return peak;
}

template <class Check>
void forEverySmallSchedule(Check check) {
  for (int64_t p = 1; p <= 6; ++p)
    for (int64_t m = 1; m <= 12; ++m)
      for (int64_t s = 0; s < p; ++s) {
        check(ScheduleKind::gpipe, s, p, m, int64_t{1});
        check(ScheduleKind::oneFOneB, s, p, m, int64_t{1});
        if (m % p == 0)
          for (int64_t v = 1; v <= 3; ++v) check(ScheduleKind::interleaved, s, p, m, v);
      }
}

TEST(PipelineSchedule, OneFOneBOrderOfFourStagesIsTheOneOfThePaper) {
  EXPECT_EQ(text(pipelineOrder(ScheduleKind::oneFOneB, 3, 4, 4, 1), false),
            "F0 B0 F1 B1 F2 B2 F3 B3");
  EXPECT_EQ(text(pipelineOrder(ScheduleKind::oneFOneB, 1, 4, 5, 1), false),
            "F0 F1 F2 B0 F3 B1 F4 B2 B3 B4");
  EXPECT_EQ(text(pipelineOrder(ScheduleKind::gpipe, 1, 4, 3, 1), false), "F0 F1 F2 B0 B1 B2");
}

TEST(PipelineSchedule, InterleavedOrderOfTwoStagesIsTheOneOfThePaper) {
  EXPECT_EQ(text(pipelineOrder(ScheduleKind::interleaved, 1, 2, 4, 2), true),
            "F0a F1a F0b B0b F1b B1b F2a B0a F3a B1a F2b B2b F3b B3b B2a B3a");
  EXPECT_EQ(text(pipelineOrder(ScheduleKind::interleaved, 0, 2, 4, 2), true),
            "F0a F1a F0b F1b F2a B0b F3a B1b F2b B0a F3b B1a B2b B3b B2a B3a");
}

TEST(PipelineSchedule, EveryMicroBatchRunsForwardThenBackwardOnceInEveryVirtualStage) {
  forEverySmallSchedule([](ScheduleKind kind, int64_t s, int64_t p, int64_t m, int64_t v) {
    const std::vector<ScheduleStep> order = pipelineOrder(kind, s, p, m, v);
    ASSERT_EQ(int64_t(order.size()), 2 * m * v);
    std::set<std::pair<int32_t, int32_t>> forward, backward;
    for (const ScheduleStep& step : order) {
      ASSERT_TRUE(step.microBatch >= 0 && step.microBatch < m && step.chunk >= 0 && step.chunk < v);
      const std::pair<int32_t, int32_t> key{step.microBatch, step.chunk};
      if (step.backward) {
        ASSERT_TRUE(forward.contains(key)) << text(order, true);
      }
      ASSERT_TRUE((step.backward ? backward : forward).insert(key).second) << text(order, true);
    }
  });
}

TEST(PipelineSchedule, ForwardsAndBackwardsOfAVirtualStageComeInMicroBatchOrder) {
  forEverySmallSchedule([](ScheduleKind kind, int64_t s, int64_t p, int64_t m, int64_t v) {
    std::map<std::pair<bool, int32_t>, int32_t> next;
    for (const ScheduleStep& step : pipelineOrder(kind, s, p, m, v)) {
      const int32_t expected = next[std::pair(step.backward, step.chunk)]++;
      ASSERT_EQ(step.microBatch, expected);
    }
  });
}

TEST(PipelineSchedule, PeakInFlightIsTheClosedForm) {
  forEverySmallSchedule([](ScheduleKind kind, int64_t s, int64_t p, int64_t m, int64_t v) {
    const int64_t peak = peakTotal(pipelineOrder(kind, s, p, m, v));
    if (kind == ScheduleKind::gpipe) {
      EXPECT_EQ(peak, m);
    }
    if (kind == ScheduleKind::oneFOneB) {
      EXPECT_EQ(peak, std::min(m, p - s));
    }
    if (kind == ScheduleKind::interleaved) {
      EXPECT_EQ(peak, std::min(m * v, 2 * (p - s - 1) + (v - 1) * p + 1));
    }
    // Korthikanti et al. 2022: the first stage holds 1 + (p-1)/(p v) times the activations of 1F1B.
    if (kind == ScheduleKind::interleaved && s == 0 && m >= 2 * p) {
      EXPECT_DOUBLE_EQ(double(peak) / double(p * v), 1 + double(p - 1) / double(p * v));
    }
  });
}

TEST(PipelineSchedule, InFlightPerVirtualStageCoversThePeakAndIsTightWithoutInterleaving) {
  forEverySmallSchedule([](ScheduleKind kind, int64_t s, int64_t p, int64_t m, int64_t v) {
    const std::vector<int64_t> held = inFlight(kind, s, p, m, v);
    ASSERT_EQ(int64_t(held.size()), v);
    int64_t sum = 0;
    for (int64_t h : held) {
      EXPECT_TRUE(h >= 1 && h <= m);
      sum += h;
    }
    const int64_t peak = peakTotal(pipelineOrder(kind, s, p, m, v));
    EXPECT_GE(sum, peak);
    if (v == 1) {
      EXPECT_EQ(sum, peak);
    }
  });
  EXPECT_THAT(inFlight(ScheduleKind::interleaved, 0, 4, 8, 2), ElementsAre(8, 4));
}

TEST(PipelineSchedule, TheFullestMomentsHaveThePeakAndTheMostOfEachVirtualStage) {
  forEverySmallSchedule([](ScheduleKind kind, int64_t s, int64_t p, int64_t m, int64_t v) {
    std::vector<int64_t> most(static_cast<size_t>(v));
    int64_t fullest = 0;
    const auto moments = fullestMoments(kind, s, p, m, v);
    for (const std::vector<int64_t>& moment : moments) {
      ASSERT_EQ(int64_t(moment.size()), v);
      fullest = std::max(fullest, std::accumulate(moment.begin(), moment.end(), int64_t{0}));
      for (size_t i = 0; i < most.size(); ++i) most[i] = std::max(most[i], moment[i]);
    }
    EXPECT_EQ(fullest, peakTotal(pipelineOrder(kind, s, p, m, v)));
    EXPECT_EQ(most, inFlight(kind, s, p, m, v));
    if (v == 1) {
      EXPECT_EQ(moments.size(), 1u);
    }
  });
}

TEST(PipelineSchedule, CountsThatTheScheduleDoesNotAllowAreUsageErrors) {
  const auto kindOf = [](auto call) {
    try {
      call();
    } catch (const Error& e) {
      return e.kind();
    }
    return ErrorKind::internal;
  };
  EXPECT_EQ(kindOf([] { pipelineOrder(ScheduleKind::interleaved, 0, 4, 6, 2); }), ErrorKind::usage);
  EXPECT_EQ(kindOf([] { pipelineOrder(ScheduleKind::oneFOneB, 0, 4, 6, 2); }), ErrorKind::usage);
  EXPECT_EQ(kindOf([] { pipelineOrder(ScheduleKind::oneFOneB, 4, 4, 6, 1); }), ErrorKind::usage);
  EXPECT_EQ(kindOf([] { pipelineOrder(ScheduleKind::gpipe, 0, 4, 0, 1); }), ErrorKind::usage);
  EXPECT_EQ(kindOf([] { inFlight(ScheduleKind::interleaved, 0, 4, 4, 0); }), ErrorKind::usage);
}

}  // namespace
}  // namespace meshplan
