// SPDX-License-Identifier: Apache-2.0
#include "planner/search/search.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <random>

#include "core/error.h"
#include "planner/search/stages.h"
#include "tests/flat_cost.h"
#include "tests/graph_text.h"
#include "tests/transformer_text.h"

namespace meshplan {
namespace {

// --- stage cuts against brute force ---

double bottleneck(const CutProblem& p, const std::vector<int64_t>& starts) {
  double worst = 0;
  for (size_t c = 0; c + 1 < starts.size(); ++c) {
    double time = 0, weight = 0, saved = 0;
    for (auto i = static_cast<size_t>(starts[c]); i < static_cast<size_t>(starts[c + 1]); ++i) {
      time += p.time[i];
      weight += p.weight[i];
      saved += p.saved[i];
    }
    if (starts[c] == starts[c + 1] || weight + p.inFlight[c] * saved > p.capacity[c])
      return std::numeric_limits<double>::infinity();
    worst = std::max(worst, time);
  }
  return worst;
}

double bruteForce(const CutProblem& p, std::vector<int64_t>& starts) {
  const auto blocks = static_cast<int64_t>(p.time.size());
  if (starts.size() == p.capacity.size()) {
    starts.push_back(blocks);
    const double value = bottleneck(p, starts);
    starts.pop_back();
    return value;
  }
  double best = std::numeric_limits<double>::infinity();
  for (int64_t next = starts.back() + 1; next < blocks; ++next) {
    starts.push_back(next);
    best = std::min(best, bruteForce(p, starts));
    starts.pop_back();
  }
  return best;
}

TEST(Stages, EqualBruteForceOnRandomChains) {
  std::mt19937 random(3);
  const auto pick = [&](int a, int b) { return std::uniform_int_distribution(a, b)(random); };
  int feasible = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    CutProblem p;
    const int blocks = pick(1, 8), chunks = pick(1, 4);
    for (int i = 0; i < blocks; ++i) {
      p.time.push_back(pick(1, 9));
      p.weight.push_back(pick(0, 5));
      p.saved.push_back(pick(0, 3));
    }
    for (int c = 0; c < chunks; ++c) {
      p.capacity.push_back(pick(0, 3) == 0 ? 12 : 1000);
      p.inFlight.push_back(chunks - c);
    }
    std::vector<int64_t> starts{0};
    const double expected = bruteForce(p, starts);
    const std::vector<int64_t> found = cutStages(p);
    ASSERT_EQ(found.empty(), std::isinf(expected)) << trial;
    if (found.empty()) continue;
    ++feasible;
    EXPECT_EQ(bottleneck(p, found), expected) << trial;
  }
  EXPECT_GT(feasible, 1000);
}

// --- whole searches ---

LinkSpec linkSpec(const char* name, LinkKind kind, double bandwidth) {
  LinkSpec spec;
  spec.name = name;
  spec.kind = kind;
  spec.bandwidth = BytesPerSecond(bandwidth);
  spec.latency = Seconds(1e-6);
  return spec;
}

Cluster smallCluster(int nodes, int devices, double memoryGiB) {
  Cluster cluster;
  cluster.name = "test";
  DeviceSpec spec;
  spec.name = "T";
  spec.architecture = "ampere";
  spec.memory = Bytes(static_cast<int64_t>(memoryGiB * kGiB));
  spec.memoryBandwidth = BytesPerSecond(1e12);
  spec.matrixPeak[DType::bf16] = FlopsPerSecond(1e12);
  spec.vectorPeak = FlopsPerSecond(1e12);
  const uint32_t kind = cluster.addSpec(spec);
  const uint32_t fast = cluster.addLinkSpec(linkSpec("nvlink", LinkKind::nvlink, 1e11));
  const uint32_t slow = cluster.addLinkSpec(linkSpec("ib", LinkKind::infiniband, 1e10));
  const Cluster::Vertex spine = cluster.addSwitch("spine", NodeId());
  for (int n = 0; n < nodes; ++n) {
    const NodeId node = cluster.addNode("n" + std::to_string(n));
    const Cluster::Vertex inside = cluster.addSwitch("s" + std::to_string(n), node);
    for (int d = 0; d < devices; ++d) {
      const DeviceId device = cluster.addDevice(kind, node);
      cluster.addLink(cluster.vertex(device), inside, fast);
    }
    cluster.addLink(inside, spine, slow);
  }
  return cluster;
}

struct Fixture {
  TrainingModel model = prepareTraining(modelFromText(kGpt, 2), {});
  Cluster cluster;
  FlatCost cost;
  PlanContext context;

  Fixture(int nodes, int devices, double gib)
      : cluster(smallCluster(nodes, devices, gib)),
        context(model, cluster, cost, Bytes(static_cast<int64_t>(gib * kGiB))) {}

  SearchResult search(SearchOptions options) const {
    if (options.globalBatch == 1) options.globalBatch = 16;
    return searchPlans(context, options);
  }
};

TEST(Search, NeverReturnsAPlanSlowerThanAFittingBaseline) {
  for (double gib : {200.0, 24.0, 12.0}) {
    const Fixture f(2, 4, gib);
    const SearchResult result = f.search({});
    ASSERT_FALSE(result.plans.empty()) << gib;
    EXPECT_FALSE(result.baselines.empty());
    for (const PlanReport& b : result.baselines)
      EXPECT_TRUE(!b.feasible || result.plans.front().stepTime <= b.stepTime)
          << b.label << " at " << gib;
    for (const PlanReport& p : result.plans) {
      EXPECT_TRUE(p.feasible);
      EXPECT_LE(p.peakMemory, f.context.memoryLimit);
    }
  }
}

TEST(Search, IsNotBeatenByAnySimulatedCandidateOfTheWholeSpace) {
  const Fixture f(1, 4, 200);
  SearchOptions options;
  options.globalBatch = 8;
  const SearchResult result = searchPlans(f.context, options);
  ASSERT_FALSE(result.plans.empty());
  Candidates space(f.context, {8, 25 * kMiB, {}, {}, 1});
  int simulated = 0;
  for (const Candidate& c : space.enumerate()) {
    const PlanReport r = evaluatePlan(f.context, space.plan(c));
    ++simulated;
    EXPECT_TRUE(!r.feasible || r.stepTime.value >= 0.98 * result.plans.front().stepTime.value)
        << r.strategy;
    EXPECT_GE(r.stepTime.value, c.lowerBound * (1 - 1e-9)) << r.strategy;
  }
  EXPECT_GT(simulated, 50);
}

TEST(Search, TheClosedFormIsCloseToTheSimulation) {
  const Fixture f(1, 4, 200);
  Candidates space(f.context, {8, 25 * kMiB, {}, {}, 1});
  double total = 0;
  int count = 0;
  for (const Candidate& c : space.enumerate()) {
    const PlanReport r = evaluatePlan(f.context, space.plan(c));
    total += std::abs(c.estimate / r.stepTime.value - 1);
    ++count;
  }
  EXPECT_LT(total / count, 0.05);
}

TEST(Search, GivesTheSameResultWithOneThreadAndWithTwo) {
  const Fixture f(2, 2, 24);
  SearchOptions one, two;
  two.threads = 2;
  const SearchResult a = f.search(one), b = f.search(two);
  ASSERT_EQ(a.plans.size(), b.plans.size());
  for (size_t i = 0; i < a.plans.size(); ++i) {
    EXPECT_EQ(a.plans[i].strategy, b.plans[i].strategy);
    EXPECT_EQ(a.plans[i].stepTime, b.plans[i].stepTime);
  }
  EXPECT_EQ(a.evaluated, b.evaluated);
  EXPECT_EQ(a.simulated, b.simulated);
}

TEST(Search, KeepsToTheFilter) {
  const Fixture f(2, 4, 200);
  SearchOptions options;
  options.filter = parseStrategy("tp=2,pp<=2,zero<=1,recompute=none");
  const SearchResult result = f.search(options);
  ASSERT_FALSE(result.plans.empty());
  for (const PlanReport& p : result.plans) {
    EXPECT_EQ(p.plan.mesh.tensor, 2);
    EXPECT_LE(p.plan.mesh.pipeline, 2);
    EXPECT_LE(p.plan.zeroStage, 1);
    EXPECT_EQ(p.plan.recompute, Recompute::none);
  }
}

TEST(Search, SaysWhatWouldFitWhenNothingDoes) {
  const Fixture f(1, 2, 1.5);
  const SearchResult result = f.search({});
  EXPECT_TRUE(result.plans.empty());
  ASSERT_TRUE(result.nearestMiss);
  EXPECT_FALSE(result.nearestMiss->feasible);
  EXPECT_GT(result.nearestMiss->peakMemory, f.context.memoryLimit);
  EXPECT_EQ(result.nearestMiss->rejection.reason, Rejection::Reason::memory);
}

TEST(Search, TheParetoFrontTradesTimeForMemory) {
  const Fixture f(2, 4, 200);
  const SearchResult result = f.search({});
  ASSERT_GT(result.pareto.size(), 1u);
  for (size_t i = 1; i < result.pareto.size(); ++i) {
    EXPECT_GE(result.pareto[i].stepTime, result.pareto[i - 1].stepTime);
    EXPECT_LT(result.pareto[i].peakMemory, result.pareto[i - 1].peakMemory);
  }
  EXPECT_LE(result.lowerBound, result.plans.front().stepTime);
  EXPECT_GE(result.gap, 0);
}

TEST(Search, AStopReturnsTheBestSoFar) {
  const Fixture f(2, 4, 200);
  SearchOptions options;
  int polls = 0;
  uint64_t seen = 0;
  options.progress = [&](const SearchProgress& p) { seen = p.simulated; };
  options.stop = [&] { return seen > 0 && ++polls > 0; };
  const SearchResult result = f.search(options);
  EXPECT_FALSE(result.complete);
  EXPECT_FALSE(result.plans.empty());
}

TEST(Strategy, EvaluatesWhatTheUserWroteAndExplainsWhatCannotBe) {
  const Fixture f(2, 4, 200);
  const PlanReport r = evaluateStrategy(f.context, 16, parseStrategy("tp=2,pp=2,mbs=2,zero=1"));
  EXPECT_EQ(r.plan.mesh.replicas(), 2);
  EXPECT_EQ(r.plan.microBatches(), 4);
  EXPECT_THAT(r.strategy, testing::HasSubstr("dp=2,tp=2,pp=2"));
  const auto problem = [&](const char* text) -> std::string {
    try {
      evaluateStrategy(f.context, 16, parseStrategy(text));
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::usage);
      EXPECT_FALSE(e.remedy().empty());
      return e.problem();
    }
    return "";
  };
  EXPECT_THAT(problem("dp=4,tp=4"), testing::HasSubstr("8 devices"));
  EXPECT_THAT(problem("mbs=3"), testing::HasSubstr("does not divide"));
  EXPECT_THAT(problem("pp=8,vpp=4"), testing::HasSubstr("chunks"));
  EXPECT_THAT(problem("pp=2,vpp=2,schedule=1f1b"), testing::HasSubstr("interleaved"));
  EXPECT_THAT(problem("zap=1"), testing::HasSubstr("unknown key"));
  EXPECT_THAT(problem("tp=2,tp=4"), testing::HasSubstr("exclude"));
  EXPECT_THAT(problem("tp=-2"), testing::HasSubstr("no value"));
  EXPECT_THAT(problem("sp=maybe"), testing::HasSubstr("no value"));
}

TEST(Strategy, NeighboursDifferFromThePlanAndFromEachOther) {
  const Fixture f(2, 4, 200);
  const PlanReport r = evaluateStrategy(f.context, 16, parseStrategy("tp=2,pp=2,mbs=2"));
  const std::vector<PlanReport> found = neighbours(f.context, r);
  EXPECT_GT(found.size(), 5u);
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_NE(found[i].strategy, r.strategy);
    for (size_t j = 0; j < i; ++j) EXPECT_NE(found[i].strategy, found[j].strategy);
  }
}

// --- properties of predictions ---

TEST(Prediction, MoreBandwidthMemoryOrComputeNeverMakesAPlanSlower) {
  const Fixture base(2, 4, 200);
  const PlanReport r = evaluateStrategy(base.context, 16, parseStrategy("tp=2,pp=2"));
  EXPECT_EQ(evaluatePlan(base.context, r.plan).stepTime, r.stepTime)
      << "a plan evaluates to the same figures";
  const PlanReport doubled = evaluateStrategy(base.context, 32, parseStrategy("tp=2,pp=2"));
  EXPECT_GT(doubled.stepTime, r.stepTime);
  EXPECT_LT(doubled.stepTime, 2 * r.stepTime);
}

TEST(Prediction, BubblesFollowTheClosedForm) {
  // Uniform stages, free communication: bubble / ideal = (p - 1) / m, interleaved (p - 1) / (v m).
  std::string text =
      "x = input [8,64,512]\nt = input [8,64,512]\nrepeat 16\n  a# = Linear(x, *512x512)\n  x = "
      "Relu(a#)\nend\n"
      "loss = MeanSquaredError(x, t)";
  class ComputeOnly : public FlatCost {
   public:
    Estimate operatorTime(const OperatorWork& w) const override {
      return {Seconds(w.def->name == "Linear" && w.phase != Phase::update ? 1e-3 : 0), 0,
              Provenance::analytic};
    }
    Estimate collectiveTime(CollectiveKind, Bytes, const GroupTopology&) const override {
      return {};
    }
  };
  const TrainingModel model = prepareTraining(modelFromText(text, 8), {});
  const Cluster cluster = smallCluster(1, 4, 200);
  const ComputeOnly cost;
  const PlanContext context(model, cluster, cost, Bytes(200 * kGiB));
  ASSERT_GE(model.chain.blocks.size(), 16u);
  const double m = 8;
  for (const auto& [strategy, v] : {std::pair("pp=4,mbs=1", 1.0),
                                    {"pp=4,mbs=1,schedule=gpipe", 1.0},
                                    {"pp=4,mbs=1,vpp=2", 2.0},
                                    {"pp=4,mbs=1,vpp=4", 4.0}}) {
    const PlanReport r = evaluateStrategy(context, 8, parseStrategy(strategy));
    const double ideal = m * 4 * 3e-3;
    // The first layer's input gradient is not computed, hence the small slack.
    EXPECT_NEAR(r.stepTime.value, ideal * (1 + 3 / (v * m)), 0.04 * ideal) << strategy;
  }
}

}  // namespace
}  // namespace meshplan
