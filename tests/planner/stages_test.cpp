// SPDX-License-Identifier: Apache-2.0
// Stages that are asked for, and blocks that are moved between them.
#include "planner/search/stages.h"

#include <gtest/gtest.h>

#include <fmt/ranges.h>

#include <numeric>
#include <random>

#include "core/error.h"
#include "core/import/load_model.h"
#include "planner/analytic_cost.h"
#include "planner/search/search.h"
#include "profiles/load_cluster.h"

namespace meshplan {
namespace {

using Counts = std::vector<int64_t>;

TEST(MovedBlocks, GoToTheNextStageWithThoseBetween) {
  EXPECT_EQ(blocksPerChunk(moveBlock({0, 4, 8}, 3, 1)), (Counts{3, 5}));
  EXPECT_EQ(blocksPerChunk(moveBlock({0, 4, 8}, 2, 1)), (Counts{2, 6}));
  EXPECT_EQ(blocksPerChunk(moveBlock({0, 4, 8}, 4, 0)), (Counts{5, 3}));
  EXPECT_EQ(moveBlock({0, 4, 8}, 5, 1), (Counts{0, 4, 8}));
}

TEST(MovedBlocks, LeaveTheStagesBetweenAsLargeAsTheyWere) {
  EXPECT_EQ(blocksPerChunk(moveBlock({0, 4, 7, 9, 12}, 3, 3)), (Counts{3, 3, 2, 4}));
  EXPECT_EQ(blocksPerChunk(moveBlock({0, 4, 7, 9, 12}, 9, 0)), (Counts{5, 3, 2, 2}));
}

TEST(MovedBlocks, NeverEmptyAStageAndNeverGetLost) {
  std::mt19937 random(7);
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    Counts counts(2 + random() % 5);
    for (int64_t& c : counts) c = 1 + random() % 4;
    const Counts starts = cutOf(counts, std::accumulate(counts.begin(), counts.end(), int64_t{0}));
    const auto block = static_cast<int64_t>(random() % static_cast<unsigned>(starts.back()));
    const auto chunk = static_cast<int64_t>(random() % counts.size());
    try {
      const Counts moved = moveBlock(starts, block, chunk);
      ASSERT_EQ(moved.size(), starts.size());
      EXPECT_EQ(moved.back(), starts.back());
      for (int64_t c : blocksPerChunk(moved)) EXPECT_GE(c, 1);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_LT(refused, 1500);
}

class StagesAsked : public testing::Test {
 protected:
  static ModelRequest request() {
    ModelRequest r;
    r.source = "gpt";
    r.settings = {{"layers", "8"}, {"hidden", "512"}, {"heads", "8"}, {"seq", "256"}};
    return r;
  }
  PlanReport plan(const std::string& strategy) {
    return evaluateStrategy(context, 64, parseStrategy(strategy));
  }

  TrainingModel training = prepareTraining(loadModel(request()), {});
  Cluster cluster = loadCluster("8xA100-SXM-80GB");
  AnalyticCost cost{cluster.specs().front(), RuntimeKind::pytorch};
  PlanContext context{training, cluster, cost, Bytes(int64_t{80} << 30)};
};

TEST_F(StagesAsked, AreTheStagesOfThePlan) {
  const int64_t blocks = std::ssize(training.chain.blocks);
  const Counts asked{blocks - 6, 1, 2, 3};
  const PlanReport r = plan(fmt::format("pp=4,mbs=2,stages={}", fmt::join(asked, ":")));
  EXPECT_EQ(blocksPerChunk(r.plan.chunkStarts), asked);
  EXPECT_EQ(stagesText(r.plan), fmt::format("stages={}", fmt::join(asked, ":")));
  // Most layers on one stage: slower than the stages that the planner cuts.
  EXPECT_GT(r.stepTime, plan("pp=4,mbs=2").stepTime);
}

TEST_F(StagesAsked, AreKeptByASearch) {
  const int64_t blocks = std::ssize(training.chain.blocks);
  SearchOptions options;
  options.globalBatch = 64;
  options.filter = parseStrategy(fmt::format("stages={}:{}", blocks - 2, 2));
  const SearchResult found = searchPlans(context, options);
  ASSERT_FALSE(found.plans.empty());
  for (const PlanReport& r : found.plans)
    EXPECT_EQ(blocksPerChunk(r.plan.chunkStarts), (Counts{blocks - 2, 2})) << r.strategy;
}

TEST_F(StagesAsked, AreRefusedWithTheReasonWhereTheyCannotBe) {
  const auto problem = [&](const std::string& strategy) {
    try {
      plan(strategy);
    } catch (const Error& error) {
      return error.problem();
    }
    return std::string();
  };
  EXPECT_NE(problem("pp=2,stages=3:3:3").find("3 numbers for 2"), std::string::npos);
  EXPECT_NE(problem("pp=2,stages=3:300").find("blocks"), std::string::npos);
  EXPECT_NE(problem("pp=2,stages=3:").find("no value for stages"), std::string::npos);
  EXPECT_NE(problem("pp=2,stages=0:9").find("no value for stages"), std::string::npos);
}

}  // namespace
}  // namespace meshplan
