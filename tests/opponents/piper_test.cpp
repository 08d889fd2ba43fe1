// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/opponents/piper.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <random>

#include "core/error.h"
#include "tests/bench/opponents/piper_search.h"

namespace meshplan {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// --- the reader ---

constexpr const char* kTwoLayers = R"({
  "maxMemoryPerDevice": 100, "maxDevices": 4, "bandwidth": 10, "mbsInBatch": 4,
  "nodes": [
    {"id": 7, "TMPCs": {"1": [{"id": "plain", "timePerSample": 2, "parameterSize": 10,
      "memoryUsageA": 20, "memoryUsageB": 5, "syncTimeFw": {}, "syncTimeBw": {"9": 3}}]}},
    {"id": 9, "TMPCs": {"1": [
      {"id": "plain", "timePerSample": 3, "parameterSize": 10, "memoryUsageA": 20,
       "memoryUsageB": 5, "syncTimeFw": {"7": 1}, "syncTimeBw": {}},
      {"id": "recompute", "timePerSample": 4, "parameterSize": 10, "memoryUsageA": 2,
       "memoryUsageB": 5, "syncTimeFw": {"7": 1}, "syncTimeBw": {}}]}}],
  "edges": [{"sourceId": 7, "destId": 9, "communicationCost": 4}]
})";

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

std::string problemOf(const std::string& text) {
  try {
    parsePiperInstance(text, "two.json");
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::input);
    EXPECT_FALSE(e.remedy().empty()) << e.what();
    return e.what();
  }
  return "";
}

TEST(Piper, ErrorsNameFilePlaceAndRemedy) {
  using testing::HasSubstr;
  EXPECT_EQ(problemOf(kTwoLayers), "");
  EXPECT_THAT(problemOf("{"), HasSubstr("two.json"));
  EXPECT_THAT(problemOf(replaced(kTwoLayers, "\"bandwidth\": 10", "\"bandwidth\": -1")),
              HasSubstr("bandwidth"));
  EXPECT_THAT(problemOf(replaced(kTwoLayers, "\"id\": 9", "\"id\": 7")), HasSubstr("nodes[1]"));
  EXPECT_THAT(problemOf(replaced(kTwoLayers, "\"destId\": 9", "\"destId\": 8")),
              HasSubstr("edges[0]"));
  EXPECT_THAT(problemOf(replaced(kTwoLayers, "\"timePerSample\": 4", "\"timePerSample\": \"4\"")),
              HasSubstr("nodes[1].TMPCs.1[1].timePerSample"));
  EXPECT_THAT(problemOf(replaced(kTwoLayers, "{\"9\": 3}", "{}")), HasSubstr("syncTimeBw"));
  EXPECT_THAT(problemOf(replaced(kTwoLayers, "{\"9\": 3}", "{\"9\": 3, \"5\": 1}")),
              HasSubstr("syncTimeBw"));
  EXPECT_THAT(problemOf(replaced(kTwoLayers, "\"1\": [{\"id\": \"plain\", \"timePerSample\": 2",
                                 "\"one\": [{\"id\": \"plain\", \"timePerSample\": 2")),
              HasSubstr("'one' is not a whole number"));
  EXPECT_THAT(problemOf(replaced(kTwoLayers, "\"sourceId\": 7, \"destId\": 9",
                                 "\"sourceId\": 9, \"destId\": 9")),
              HasSubstr("two.json"));
}

TEST(Piper, APlanCostsWhatThePaperSays) {
  const PiperInstance p = parsePiperInstance(kTwoLayers, "two.json");
  const auto cost = [&](const std::string& stages) {
    return piperTimePerSample(p, parsePiperPlan(p, "{\"stages\": [" + stages + "]}", "plan.json"));
  };
  const std::string both = R"({"dataParallelDegree": 1, "tensorParallelDegree": 1,
                               "TMPCids": [[7, "plain"], [9, "plain"]]})";
  EXPECT_DOUBLE_EQ(cost(both), 5);
  // Two replicas: 5 / 2 and 4 x 1/2 x 20 bytes / 4 micro-batches / 10 bytes per second.
  EXPECT_DOUBLE_EQ(cost(replaced(both, "\"dataParallelDegree\": 1", "\"dataParallelDegree\": 2")),
                   3.5);
  const std::string first = R"({"dataParallelDegree": 1, "tensorParallelDegree": 1,
                                "TMPCids": [[7, "plain"]]},)";
  const std::string second = R"({"dataParallelDegree": 1, "tensorParallelDegree": 1,
                                 "TMPCids": [[9, "recompute"]]})";
  // Cut: the second takes 4 + 2 (4 + 1) / 10.
  EXPECT_DOUBLE_EQ(cost(first + second), 5);
  PiperInstance small = p;
  small.memory = 44;  // the first holds two micro-batches: 2 x 20 + 5
  EXPECT_EQ(piperTimePerSample(
                small, parsePiperPlan(p, "{\"stages\": [" + first + second + "]}", "plan.json")),
            kInfinity);
  const auto refused = [&](const std::string& stages) -> std::string {
    try {
      cost(stages);
    } catch (const Error& e) {
      EXPECT_FALSE(e.remedy().empty());
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(refused(second), testing::HasSubstr("layer 7 is missing"));
  EXPECT_THAT(refused(second + "," + first.substr(0, first.size() - 1)),
              testing::HasSubstr("before its input"));
  EXPECT_THAT(refused(replaced(both, "\"dataParallelDegree\": 1", "\"dataParallelDegree\": 3")),
              testing::HasSubstr("divide"));
  EXPECT_THAT(refused(replaced(second, "recompute", "magic")), testing::HasSubstr("'magic'"));
}

// --- the search against trying everything ---

class BruteForce {
 public:
  explicit BruteForce(const PiperInstance& p) : instance_(p), stageOf_(p.nodes.size()) {}

  double run() {
    for (size_t stages = 1; stages <= instance_.nodes.size(); ++stages) assign(0, stages);
    return best_;
  }

 private:
  void assign(size_t node, size_t stages) {
    if (node < stageOf_.size()) {
      for (size_t s = 0; s < stages; ++s) {
        stageOf_[node] = s;
        assign(node + 1, stages);
      }
      return;
    }
    for (const PiperEdge& e : instance_.edges)
      if (stageOf_[e.from] > stageOf_[e.to]) return;
    PiperPlan plan(stages);
    for (uint32_t v = 0; v < stageOf_.size(); ++v) plan[stageOf_[v]].nodes.push_back(v);
    for (const PiperStage& s : plan)
      if (s.nodes.empty()) return;
    shape(plan, 0, instance_.devices, std::min(instance_.devices, instance_.microBatches));
  }

  void shape(PiperPlan& plan, size_t stage, int64_t devices, int64_t replicas) {
    if (stage == plan.size()) return choose(plan, 0, 0);
    for (int64_t t : {1, 2})
      for (int64_t d = 1; d * t <= devices && d <= replicas; ++d) {
        if (instance_.microBatches % d != 0) continue;
        plan[stage].replicas = d;
        plan[stage].tensor = t;
        plan[stage].choices.assign(plan[stage].nodes.size(), 0);
        bool known = true;
        for (uint32_t v : plan[stage].nodes)
          known = known && instance_.nodes[v].options.count(t) > 0;
        if (known) shape(plan, stage + 1, devices - d * t, replicas - d);
      }
  }

  void choose(PiperPlan& plan, size_t stage, size_t node) {
    if (stage == plan.size()) {
      best_ = std::min(best_, piperTimePerSample(instance_, plan));
      return;
    }
    PiperStage& s = plan[stage];
    if (node == s.nodes.size()) return choose(plan, stage + 1, 0);
    const auto& options = instance_.nodes[s.nodes[node]].options.at(s.tensor);
    for (uint32_t o = 0; o < options.size(); ++o) {
      s.choices[node] = o;
      choose(plan, stage, node + 1);
    }
  }

  const PiperInstance& instance_;
  std::vector<size_t> stageOf_;
  double best_ = kInfinity;
};

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  int pick(int a, int b) { return std::uniform_int_distribution(a, b)(engine_); }

  PiperInstance instance() {
    PiperInstance p;
    p.bandwidth = pick(5, 40);
    p.devices = pick(1, 5);
    p.microBatches = pick(1, 6);
    p.memory = pick(10, 80);
    p.nodes.resize(static_cast<size_t>(pick(1, 5)));
    for (uint32_t to = 1; to < p.nodes.size(); ++to)
      for (uint32_t from = 0; from < to; ++from) {
        if (pick(0, 2) == 0) continue;
        const auto edge = static_cast<uint32_t>(p.edges.size());
        p.nodes[from].out.push_back(edge);
        p.nodes[to].in.push_back(edge);
        p.edges.push_back({from, to, double(pick(0, 6))});
      }
    const bool sameParameters = pick(0, 1) == 0;
    for (uint32_t v = 0; v < p.nodes.size(); ++v) {
      p.nodes[v].id = v;
      for (int64_t t = pick(0, 7) == 0 ? 2 : 1; t <= 2; ++t)
        addOptions(p.nodes[v], t, sameParameters);
    }
    return p;
  }

 private:
  void addOptions(PiperNode& n, int64_t tensor, bool sameParameters) {
    for (int count = pick(0, 9) == 0 ? 0 : pick(1, 2); count > 0; --count) {
      PiperOption o;
      o.id = std::to_string(count);
      o.time = pick(0, 20);
      o.parameters = sameParameters ? 30 : pick(0, 60);
      o.memoryPerMicroBatch = pick(0, 10);
      o.memoryFixed = pick(0, 20);
      for (size_t e = 0; e < n.in.size(); ++e) o.syncIn.push_back(pick(0, 5));
      for (size_t e = 0; e < n.out.size(); ++e) o.syncOut.push_back(pick(0, 5));
      n.options[tensor].push_back(o);
    }
  }

  std::mt19937 engine_;
};

TEST(Piper, TheSearchEqualsTryingEverythingOnRandomInstances) {
  Random random(5);
  int feasible = 0, cut = 0;
  for (int trial = 0; trial < 4000; ++trial) {
    const PiperInstance p = random.instance();
    const double expected = BruteForce(p).run();
    const PiperAnswer answer = searchPiper(p);
    ASSERT_EQ(answer.plan.empty(), std::isinf(expected)) << trial;
    EXPECT_EQ(answer.undecided, 0u);
    if (answer.plan.empty()) continue;
    ++feasible;
    cut += answer.plan.size() > 1;
    EXPECT_NEAR(answer.timePerSample, expected, 1e-8 * expected) << trial;
    EXPECT_EQ(piperTimePerSample(p, answer.plan), answer.timePerSample);
    EXPECT_LE(answer.lowerBound, expected * (1 + 1e-8));
  }
  EXPECT_GT(feasible, 2000);
  EXPECT_GT(cut, 500);
}

/// A chain of equal layers with two settings, some tensor parallelism and an embedding in front.
PiperInstance chain(int layers, int64_t devices) {
  PiperInstance p;
  p.bandwidth = 1e9;
  p.devices = devices;
  p.microBatches = 960;
  p.memory = 8e9;
  p.nodes.resize(static_cast<size_t>(layers));
  for (uint32_t v = 0; v + 1 < p.nodes.size(); ++v) {
    p.nodes[v].out.push_back(v);
    p.nodes[v + 1].in.push_back(v);
    p.edges.push_back({v, v + 1, 4e6});
  }
  for (uint32_t v = 0; v < p.nodes.size(); ++v) {
    p.nodes[v].id = v;
    for (int64_t t : {1, 2, 4, 8})
      for (bool again : {false, true}) {
        const double share = 1 / static_cast<double>(t);
        PiperOption o;
        o.id = again ? "recompute" : "keep";
        o.time = (again ? 0.04 : 0.03) * (share + 0.02 * static_cast<double>(t - 1)) *
                 (v == 0 ? 0.1 : 1);
        o.parameters = 50e6 * share;
        o.memoryPerMicroBatch = (again ? 5e6 : 80e6) * share;
        o.memoryFixed = 400e6 * share;
        o.syncIn.assign(p.nodes[v].in.size(), 2e6 * static_cast<double>(t - 1));
        o.syncOut.assign(p.nodes[v].out.size(), 2e6 * static_cast<double>(t - 1));
        p.nodes[v].options[t].push_back(o);
      }
  }
  return p;
}

TEST(Piper, EqualInputGivesEqualOutput) {
  const PiperInstance p = chain(24, 256);
  const PiperAnswer a = searchPiper(p), b = searchPiper(p);
  ASSERT_EQ(a.plan.size(), b.plan.size());
  EXPECT_EQ(a.timePerSample, b.timePerSample);
  EXPECT_EQ(a.stages, b.stages);
  for (size_t s = 0; s < a.plan.size(); ++s) {
    EXPECT_EQ(a.plan[s].nodes, b.plan[s].nodes);
    EXPECT_EQ(a.plan[s].choices, b.plan[s].choices);
    EXPECT_EQ(a.plan[s].replicas, b.plan[s].replicas);
    EXPECT_EQ(a.plan[s].tensor, b.plan[s].tensor);
  }
}

TEST(Piper, WorkHardlyGrowsWithTheDevices) {
  const PiperAnswer few = searchPiper(chain(32, 64)), many = searchPiper(chain(32, 2048));
  ASSERT_FALSE(few.plan.empty());
  ASSERT_FALSE(many.plan.empty());
  EXPECT_LT(many.timePerSample, few.timePerSample / 10);
  EXPECT_LT(many.knapsacks, 20 * few.knapsacks + 1000);
  EXPECT_LT(many.stages, 3 * few.stages);
  EXPECT_LE(many.timePerSample, many.lowerBound * (1 + 1e-8));
}

}  // namespace
}  // namespace meshplan
