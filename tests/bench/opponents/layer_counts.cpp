// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/opponents/layer_counts.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <numeric>
#include <tuple>

namespace meshplan {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Sums of which none is beaten in all three by another that was added before.
class Staircase {
 public:
  /// Sums have to come in ascending `alone`.
  bool add(double synchronised, int64_t memory) {
    const auto after = steps_.upper_bound(synchronised);
    if (after != steps_.begin() && std::prev(after)->second <= memory) return false;
    auto worse = steps_.lower_bound(synchronised);
    while (worse != steps_.end() && worse->second >= memory) worse = steps_.erase(worse);
    steps_.emplace(synchronised, memory);
    return true;
  }

 private:
  std::map<double, int64_t> steps_;  // least memory by synchronised time, descending
};

bool before(const LayerOption& a, const LayerOption& b) {
  return std::tie(a.alone, a.synchronised, a.memory) < std::tie(b.alone, b.synchronised, b.memory);
}

}  // namespace

LayerCounts::LayerCounts(const LayerRow& row, int64_t memory)
    : options_(row.options.size()), sums_(1) {
  int64_t least = std::numeric_limits<int64_t>::max();
  for (const LayerOption& o : row.options) least = std::min(least, o.memory);
  for (int64_t layer = 0; layer < row.layers; ++layer)
    addLayer(row, memory - (row.layers - 1 - layer) * least);
  // A change of group that is no longer ahead of anybody: one front over all groups.
  std::vector<LayerOption> sums;
  std::vector<Link> links;
  keepFront(std::move(sums_), links_.empty() ? links : links_.back(), false, sums, links);
  sums_ = std::move(sums);
  if (!links_.empty()) links_.back() = std::move(links);
}

/// One more layer in all ways whose memory stays within `left`.
void LayerCounts::addLayer(const LayerRow& row, int64_t left) {
  std::vector<LayerOption> candidates;
  std::vector<Link> origins;
  for (uint32_t i = 0; i < sums_.size(); ++i)
    for (uint32_t o = 0; o < row.options.size(); ++o) {
      const LayerOption& option = row.options[o];
      const bool first = links_.empty();
      if ((!first && option.group < sums_[i].group) || sums_[i].memory + option.memory > left)
        continue;
      const double change =
          first || option.group == sums_[i].group ? 0 : row.entering[option.group];
      candidates.push_back({sums_[i].alone + option.alone + change,
                            sums_[i].synchronised + option.synchronised + change,
                            sums_[i].memory + option.memory, option.group});
      origins.push_back({i, o});
    }
  sums_.clear();
  links_.emplace_back();
  keepFront(std::move(candidates), origins, true, sums_, links_.back());
}

void LayerCounts::keepFront(std::vector<LayerOption> candidates, const std::vector<Link>& origins,
                            bool perGroup, std::vector<LayerOption>& sums,
                            std::vector<Link>& links) {
  std::vector<uint32_t> order(candidates.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return before(candidates[a], candidates[b]); });
  std::map<size_t, Staircase> kept;
  for (uint32_t i : order) {
    Staircase& front = kept[perGroup ? candidates[i].group : 0];
    if (!front.add(candidates[i].synchronised, candidates[i].memory)) continue;
    sums.push_back(candidates[i]);
    if (!origins.empty()) links.push_back(origins[i]);
  }
}

std::vector<int64_t> LayerCounts::counts(size_t index) const {
  std::vector<int64_t> counts(options_);
  for (size_t layer = links_.size(); layer-- > 0;) {
    const Link& link = links_[layer][index];
    ++counts[link.option];
    index = link.previous;
  }
  return counts;
}

double leastSum(const LayerRow& row, double a, double b, int64_t memory) {
  const double each = static_cast<double>(memory) / static_cast<double>(row.layers);
  const auto value = [&](const LayerOption& o) { return a * o.alone + b * o.synchronised; };
  double one = kInfinity, mixed = kInfinity;  // groups
  for (const LayerOption& i : row.options) {
    const auto small = static_cast<double>(i.memory);
    if (small > each) continue;
    one = std::min(one, value(i));
    for (const LayerOption& j : row.options) {
      const auto large = static_cast<double>(j.memory);
      if (large <= each || value(j) >= value(i)) continue;
      double& best = i.group == j.group ? one : mixed;
      best = std::min(best, value(i) + (value(j) - value(i)) * (each - small) / (large - small));
    }
  }
  const double change =
      row.entering.size() < 2 ? 0 : *std::min_element(row.entering.begin() + 1, row.entering.end());
  const auto layers = static_cast<double>(row.layers);
  return std::min(one * layers, std::min(one, mixed) * layers + (a + b) * change);
}

}  // namespace meshplan
