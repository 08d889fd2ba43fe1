// SPDX-License-Identifier: Apache-2.0
#include "planner/search/elimination.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <tuple>

namespace meshplan {
namespace {

using Random = std::mt19937;

ChoiceCost randomCost(Random& random, double forbidden) {
  std::uniform_real_distribution<double> u(0, 1);
  if (u(random) < forbidden) return {std::numeric_limits<double>::infinity(), 0, 0};
  // Coarse values, so that ties and dominated points are common.
  const auto coarse = [&] { return std::floor(u(random) * 5); };
  return {coarse(), coarse(), coarse()};
}

PairwiseProblem randomProblem(Random& random) {
  PairwiseProblem problem;
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution(low, high)(random);
  };
  const int variables = pick(1, 6);
  for (int v = 0; v < variables; ++v) {
    problem.unary.emplace_back();
    for (int i = pick(1, 4); i > 0; --i) problem.unary.back().push_back(randomCost(random, 0.05));
  }
  for (uint32_t a = 0; a < problem.unary.size(); ++a)
    for (uint32_t b = a + 1; b < problem.unary.size(); ++b) {
      if (pick(0, 2) == 0) continue;
      PairwiseProblem::Edge edge{a, b, {}};
      for (size_t i = 0; i < problem.unary[a].size() * problem.unary[b].size(); ++i)
        edge.costs.push_back(randomCost(random, 0.1));
      problem.edges.push_back(edge);
    }
  return problem;
}

ChoiceCost costOf(const PairwiseProblem& problem, const std::vector<uint16_t>& values) {
  ChoiceCost cost;
  for (size_t v = 0; v < values.size(); ++v) cost += problem.unary[v][values[v]];
  for (const auto& e : problem.edges)
    cost += e.costs[values[e.a] * problem.unary[e.b].size() + values[e.b]];
  return cost;
}

std::vector<ChoiceCost> bruteForceFront(const PairwiseProblem& problem) {
  std::vector<ChoiceCost> all;
  std::vector<uint16_t> values(problem.unary.size());
  while (true) {
    if (const ChoiceCost c = costOf(problem, values); std::isfinite(c.time)) all.push_back(c);
    size_t v = 0;
    while (v < values.size() && ++values[v] == problem.unary[v].size()) values[v++] = 0;
    if (v == values.size()) break;
  }
  const auto beats = [](const ChoiceCost& a, const ChoiceCost& b) {
    return a.time <= b.time && a.activations <= b.activations && a.parameters <= b.parameters &&
           (a.time < b.time || a.activations < b.activations || a.parameters < b.parameters);
  };
  std::vector<ChoiceCost> front;
  for (const ChoiceCost& c : all) {
    if (std::any_of(all.begin(), all.end(), [&](const ChoiceCost& o) { return beats(o, c); }))
      continue;
    const bool known = std::any_of(front.begin(), front.end(), [&](const ChoiceCost& o) {
      return o.time == c.time && o.activations == c.activations && o.parameters == c.parameters;
    });
    if (!known) front.push_back(c);
  }
  std::sort(front.begin(), front.end(), [](const ChoiceCost& a, const ChoiceCost& b) {
    return std::tie(a.time, a.activations, a.parameters) <
           std::tie(b.time, b.activations, b.parameters);
  });
  return front;
}

TEST(Elimination, EqualsBruteForceOnRandomProblems) {
  Random random(7);
  int nonEmpty = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    const PairwiseProblem problem = randomProblem(random);
    const std::vector<ChoiceCost> expected = bruteForceFront(problem);
    const std::vector<ParetoPoint> found = eliminate(problem, 100000);
    ASSERT_EQ(found.size(), expected.size()) << "trial " << trial;
    nonEmpty += !found.empty();
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].cost.time, expected[i].time);
      EXPECT_EQ(found[i].cost.activations, expected[i].activations);
      EXPECT_EQ(found[i].cost.parameters, expected[i].parameters);
      const ChoiceCost again = costOf(problem, found[i].values);
      EXPECT_EQ(again.time, found[i].cost.time);
      EXPECT_EQ(again.activations, found[i].cost.activations);
    }
  }
  EXPECT_GT(nonEmpty, 1000);
}

TEST(Elimination, ACutFrontKeepsTheFastestPoint) {
  Random random(8);
  for (int trial = 0; trial < 300; ++trial) {
    const PairwiseProblem problem = randomProblem(random);
    const std::vector<ChoiceCost> expected = bruteForceFront(problem);
    const std::vector<ParetoPoint> found = eliminate(problem, 2);
    ASSERT_EQ(found.empty(), expected.empty());
    if (found.empty()) continue;
    EXPECT_EQ(found.front().cost.time, expected.front().time);
  }
}

TEST(Elimination, SolvesALongRingExactly) {
  // Equal values along the ring are free, a change costs 1; one variable is pinned to 1 by its
  // cost.
  PairwiseProblem problem;
  constexpr uint32_t kLength = 200;
  for (uint32_t v = 0; v < kLength; ++v) problem.unary.push_back({{0, 0, 0}, {0.001, 0, 0}});
  problem.unary[17][0].time = 5;
  for (uint32_t v = 0; v < kLength; ++v) {
    const uint32_t a = std::min(v, (v + 1) % kLength), b = std::max(v, (v + 1) % kLength);
    problem.edges.push_back({a, b, {{0, 0, 0}, {1, 0, 0}, {1, 0, 0}, {0, 0, 0}}});
  }
  const auto front = eliminate(problem);
  ASSERT_FALSE(front.empty());
  EXPECT_NEAR(front.front().cost.time, 0.2, 1e-9);
}

}  // namespace
}  // namespace meshplan
