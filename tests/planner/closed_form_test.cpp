// SPDX-License-Identifier: Apache-2.0
#include "planner/search/closed_form.h"

#include <gtest/gtest.h>

#include "core/import/load_model.h"
#include "planner/analytic_cost.h"
#include "planner/pipeline_schedule.h"
#include "planner/search/candidates.h"
#include "planner/search/search.h"
#include "planner/search/stages.h"
#include "profiles/load_cluster.h"

namespace meshplan {
namespace {

ModelRequest request(const std::map<std::string, std::string>& settings) {
  ModelRequest r;
  r.source = "gpt";
  r.settings = settings;
  return r;
}

SearchSpace spaceOf(int64_t globalBatch) {
  SearchSpace space;
  space.globalBatch = globalBatch;
  return space;
}

struct Problem {
  TrainingModel training;
  Cluster cluster;
  AnalyticCost cost;
  PlanContext context;

  Problem(const std::map<std::string, std::string>& settings, const std::string& machines,
          Bytes limit)
      : training(prepareTraining(loadModel(request(settings)), {})),
        cluster(loadCluster(machines)),
        cost(cluster.specs().front(), RuntimeKind::pytorch),
        context(training, cluster, cost, limit) {}
};

const std::map<std::string, std::string> kSmall = {
    {"layers", "8"}, {"hidden", "512"}, {"heads", "8"}, {"vocab", "1024"}, {"seq", "256"}};

TEST(ClosedForm, AsksOncePerDistinctQuestion) {
  const Problem p({{"layers", "32"}, {"hidden", "1024"}, {"heads", "16"}, {"seq", "512"}},
                  "4x8xA100-SXM-80GB", Bytes(int64_t{40} << 30));
  Candidates space(p.context, spaceOf(256));
  const size_t candidates = space.enumerate().size();
  const ClosedForm::Counts& counts = space.counts();
  ASSERT_GT(candidates, 10000u);
  // A cut serves all ZeRO stages, schedules and data-parallel degrees of one sharding; a collective
  // all candidates whose stages hold equally many parameters.
  EXPECT_LT(counts.runs * 3, candidates);
  EXPECT_LT(counts.cuts * 3, candidates);
  EXPECT_LT(counts.collectives * 10, candidates);
}

TEST(ClosedForm, CutsOfADeepModelCostNoMoreQuestions) {
  const auto countsOf = [](const char* layers) {
    const Problem p({{"layers", layers}, {"hidden", "512"}, {"heads", "8"}, {"seq", "256"}},
                    "8xA100-SXM-80GB", Bytes(int64_t{1} << 50));
    Candidates space(p.context, spaceOf(64));
    (void)space.enumerate();
    return space.counts().collectives;
  };
  EXPECT_LE(countsOf("256"), 2 * countsOf("32"));
}

TEST(StageRuns, EqualNeighboursAreOneRunAndSumsAddUp) {
  const Problem p(kSmall, "8xA100-SXM-80GB", Bytes(int64_t{1} << 50));
  const BlockChain& chain = p.training.chain;
  std::vector<BlockCost> costs(chain.classes.size());
  for (size_t c = 0; c < costs.size(); ++c) {
    costs[c].forward = 1 + double(c);
    costs[c].backward = 2;
    costs[c].parameters = 10;
    costs[c].saved = 3;
  }
  const auto starts = evenStages(chain, 8);
  const auto runs = stageRuns(chain, costs, Recompute::none, starts, 8);
  EXPECT_LE(runs.size(), 3u);
  double parameters = 0, saved = 0;
  int64_t stages = 0;
  for (const StageRun& run : runs) {
    EXPECT_EQ(run.first, stages);
    stages += run.count;
    parameters += double(run.count) * run.sums.dense;
    saved += double(run.count) * run.sums.saved.front();
  }
  EXPECT_EQ(stages, 8);
  EXPECT_DOUBLE_EQ(parameters, 10 * double(chain.blocks.size()));
  EXPECT_DOUBLE_EQ(saved, 3 * double(chain.blocks.size()));
}

TEST(PipelineSchedule, EnoughMicroBatchesHoldAsManyInFlightAsAll) {
  for (ScheduleKind kind : {ScheduleKind::oneFOneB, ScheduleKind::interleaved})
    for (int64_t p : {2, 4, 6})
      for (int64_t v : {1, 2, 5}) {
        if ((v > 1) != (kind == ScheduleKind::interleaved)) continue;
        for (int64_t s = 0; s < p; ++s)
          EXPECT_EQ(fullestMoments(kind, s, p, 8 * p, v), fullestMoments(kind, s, p, 20 * p, v));
      }
}

SearchResult search(const Problem& p, bool exhaustive) {
  SearchOptions options;
  options.globalBatch = 32;
  options.exhaustive = exhaustive;
  return searchPlans(p.context, options);
}

TEST(Search, ExhaustiveByBoundsFindsTheBestOfPlainEnumeration) {
  const Problem p(kSmall, "4xA100-SXM-80GB", Bytes(int64_t{4} << 30));
  Candidates space(p.context, spaceOf(32));
  double best = 1e30;
  for (const Candidate& c : space.enumerate()) {
    const PlanReport r = evaluatePlan(p.context, space.plan(c));
    EXPECT_LE(c.lowerBound, r.stepTime.value * (1 + 1e-9)) << r.strategy;
    if (r.feasible) best = std::min(best, r.stepTime.value);
  }
  const SearchResult proven = search(p, true), usual = search(p, false);
  ASSERT_FALSE(proven.plans.empty());
  EXPECT_DOUBLE_EQ(proven.plans.front().stepTime.value, best);
  EXPECT_DOUBLE_EQ(proven.gap, 0);
  EXPECT_LE(usual.plans.front().stepTime.value * (1 - usual.gap), best * (1 + 1e-9));
  EXPECT_LE(usual.plans.front().stepTime.value, 1.02 * best);
  EXPECT_LT(usual.simulated, proven.simulated);
}

}  // namespace
}  // namespace meshplan
