// SPDX-License-Identifier: Apache-2.0
#include "planner/arena.h"

#include <algorithm>
#include <numeric>

namespace meshplan {
namespace {

constexpr int64_t kAlignment = 256;

int64_t aligned(int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

struct Interval {
  int64_t begin, end;
};

/// The smallest gap between `taken` (sorted) that holds `bytes`, else the end.
int64_t bestFit(const std::vector<Interval>& taken, int64_t bytes) {
  int64_t cursor = 0, best = -1, bestGap = INT64_MAX;
  for (const Interval& t : taken) {
    const int64_t gap = t.begin - cursor;
    if (gap >= bytes && gap < bestGap) {
      best = cursor;
      bestGap = gap;
    }
    cursor = std::max(cursor, t.end);
  }
  return best >= 0 ? best : cursor;
}

}  // namespace

int64_t planArena(std::vector<Lifetime>& lifetimes) {
  std::vector<size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });
  std::vector<size_t> placed;
  int64_t size = 0;
  for (size_t i : order) {
    Lifetime& life = lifetimes[i];
    std::vector<Interval> taken;
    for (size_t j : placed)
      if (lifetimes[j].begin <= life.end && life.begin <= lifetimes[j].end)
        taken.push_back({lifetimes[j].offset, lifetimes[j].offset + aligned(lifetimes[j].bytes)});
    std::sort(taken.begin(), taken.end(),
              [](const Interval& a, const Interval& b) { return a.begin < b.begin; });
    life.offset = bestFit(taken, aligned(life.bytes));
    size = std::max(size, life.offset + aligned(life.bytes));
    placed.push_back(i);
  }
  return size;
}

}  // namespace meshplan
