// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/opponents/knapsack.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace meshplan {
namespace {

/// The least time of any choice that fits, by trying all.
double leastTime(const KnapsackItems& items, size_t first, double memory) {
  if (memory < 0) return std::numeric_limits<double>::infinity();
  if (first == items.size()) return 0;
  double best = std::numeric_limits<double>::infinity();
  for (const KnapsackOption& o : items[first])
    best = std::min(best, o.time + leastTime(items, first + 1, memory - o.memory));
  return best;
}

TEST(Knapsack, EqualsTryingAllChoicesOnRandomItems) {
  std::mt19937 random(11);
  const auto pick = [&](int a, int b) { return std::uniform_int_distribution(a, b)(random); };
  int found = 0, none = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    KnapsackItems items;
    double most = 0;
    for (int n = pick(1, 7); n > 0; --n) {
      if (!items.empty() && pick(0, 2) == 0) {
        items.push_back(items.back());  // equal layers
        continue;
      }
      items.emplace_back();
      for (int o = pick(1, 3); o > 0; --o)
        items.back().push_back({double(pick(1, 9)), double(pick(0, 9))});
      most += 9;
    }
    const double memory = pick(0, static_cast<int>(most));
    const double best = leastTime(items, 0, memory);
    for (double time : {best, best - 1, best + 3, 0.0}) {
      if (std::isinf(time)) continue;
      const KnapsackAnswer answer = chooseWithin(items, time, memory);
      ASSERT_EQ(answer.kind,
                time >= best ? KnapsackAnswer::Kind::found : KnapsackAnswer::Kind::none)
          << trial;
      EXPECT_LE(answer.atLeast, best + 1e-9);
      EXPECT_GE(answer.atMost, best);
      if (answer.kind == KnapsackAnswer::Kind::none) {
        ++none;
        continue;
      }
      ++found;
      double takenTime = 0, takenMemory = 0;
      for (size_t i = 0; i < items.size(); ++i) {
        takenTime += items[i][answer.choices[i]].time;
        takenMemory += items[i][answer.choices[i]].memory;
      }
      EXPECT_LE(takenTime, time);
      EXPECT_LE(takenMemory, memory);
    }
  }
  EXPECT_GT(found, 1000);
  EXPECT_GT(none, 1000);
}

TEST(Knapsack, EqualItemsDoNotMultiplyTheWork) {
  // 60 equal layers of which 31 must be recomputed: without folding there are 60 over 31 ways.
  const KnapsackItems items(60, {{1, 3}, {2, 1}});
  EXPECT_EQ(chooseWithin(items, 91, 120).kind, KnapsackAnswer::Kind::found);
  EXPECT_EQ(chooseWithin(items, 90, 119).kind, KnapsackAnswer::Kind::none);
  EXPECT_EQ(chooseWithin(items, 90.75, 119, 10'000).kind, KnapsackAnswer::Kind::none);
}

}  // namespace
}  // namespace meshplan
