// SPDX-License-Identifier: Apache-2.0
#include "planner/link_sharing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace meshplan {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

std::vector<double> share(const std::vector<LinkUse>& uses, const std::vector<double>& limits,
                          size_t links) {
  std::vector<double> rates(limits.size());
  LinkSharing().share(uses, limits, links, rates);
  return rates;
}

TEST(LinkSharing, AFlowAloneRunsAtItsLimit) {
  EXPECT_THAT(share({{0, 0, 1}}, {1}, 1), ElementsAre(1));
  EXPECT_THAT(share({{0, 0, 0.4}}, {0.5}, 1), ElementsAre(0.5));
  EXPECT_THAT(share({}, {0.7, 1}, 3), ElementsAre(0.7, 1));
}

TEST(LinkSharing, EqualFlowsShareALinkEqually) {
  EXPECT_THAT(share({{0, 0, 1}, {1, 0, 1}, {2, 0, 1}, {3, 0, 1}}, {1, 1, 1, 1}, 1),
              ElementsAre(0.25, 0.25, 0.25, 0.25));
}

TEST(LinkSharing, WhatALimitedFlowLeavesGoesToTheOthers) {
  EXPECT_THAT(share({{0, 0, 1}, {1, 0, 1}, {2, 0, 1}}, {0.2, 1, 1}, 1),
              ElementsAre(DoubleNear(0.2, 1e-12), DoubleNear(0.4, 1e-12), DoubleNear(0.4, 1e-12)));
  // A flow that takes a quarter of the link at full speed is below the fair half: it is not held
  // up.
  EXPECT_THAT(share({{0, 0, 0.25}, {1, 0, 1}}, {1, 1}, 1), ElementsAre(1, DoubleNear(0.75, 1e-12)));
}

// Bertsekas and Gallager, Data Networks, figure 6.13: a long session over links of capacity 1 with
// short ones.
TEST(LinkSharing, ALongFlowGetsTheShareOfItsWorstLink) {
  const std::vector<LinkUse> uses = {{0, 0, 1}, {0, 1, 1}, {1, 0, 1}, {2, 1, 1}, {3, 1, 1}};
  EXPECT_THAT(share(uses, {1, 1, 1, 1}, 2),
              ElementsAre(DoubleNear(1. / 3, 1e-12), DoubleNear(2. / 3, 1e-12),
                          DoubleNear(1. / 3, 1e-12), DoubleNear(1. / 3, 1e-12)));
}

struct Instance {
  std::vector<LinkUse> uses;
  std::vector<double> limits;
  size_t links;
};

Instance randomInstance(std::mt19937& random) {
  Instance x{{}, {}, 1 + random() % 5};
  const size_t flows = 1 + random() % 6;
  for (uint32_t i = 0; i < flows; ++i) {
    x.limits.push_back(0.1 + double(random() % 10) / 10);
    for (uint32_t r = 0; r < x.links; ++r)
      if (random() % 2) x.uses.push_back({i, r, 0.1 + double(random() % 10) / 10});
  }
  return x;
}

// The property that defines max-min fairness: a flow below its limit has a full link on which
// nobody has more bandwidth.
TEST(LinkSharing, IsFeasibleAndMaxMinFairOnRandomInstances) {
  std::mt19937 random(1);
  for (int n = 0; n < 5000; ++n) {
    const Instance x = randomInstance(random);
    const std::vector<double> rates = share(x.uses, x.limits, x.links);
    std::vector<double> load(x.links), weight(rates.size());
    for (const LinkUse& use : x.uses) {
      load[use.link] += use.demand * rates[use.flow];
      weight[use.flow] = std::max(weight[use.flow], use.demand);
    }
    for (double l : load) ASSERT_LE(l, 1 + 1e-9);
    for (uint32_t i = 0; i < rates.size(); ++i) {
      ASSERT_GT(rates[i], 0);
      ASSERT_LE(rates[i], x.limits[i]);
      bool held = rates[i] >= x.limits[i] - 1e-9;
      for (const LinkUse& mine : x.uses)
        held |= mine.flow == i && load[mine.link] >= 1 - 1e-9 &&
                std::all_of(x.uses.begin(), x.uses.end(), [&](const LinkUse& other) {
                  return other.link != mine.link ||
                         weight[other.flow] * rates[other.flow] <= weight[i] * rates[i] + 1e-9;
                });
      ASSERT_TRUE(held) << "instance " << n << " flow " << i;
    }
  }
}

}  // namespace
}  // namespace meshplan
