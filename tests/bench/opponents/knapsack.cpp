// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/opponents/knapsack.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace meshplan {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A step from one option of an item to the next slower, smaller one on its convex hull.
struct Step {
  double slope = 0, time = 0, memory = 0;  // memory is what it saves
  uint32_t item = 0, option = 0;
};

/// Options of an item on the lower-left hull, the fastest first.
std::vector<uint32_t> hull(const std::vector<KnapsackOption>& options) {
  std::vector<uint32_t> order(options.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return options[a] < options[b]; });
  std::vector<uint32_t> kept;
  for (uint32_t o : order) {
    if (!kept.empty() && options[o].memory >= options[kept.back()].memory) continue;
    const auto slope = [&](uint32_t a, uint32_t b) {
      return (options[b].time - options[a].time) / (options[a].memory - options[b].memory);
    };
    while (kept.size() > 1 && slope(kept[kept.size() - 2], kept.back()) >= slope(kept.back(), o))
      kept.pop_back();
    kept.push_back(o);
  }
  return kept;
}

class Chooser {
 public:
  Chooser(const KnapsackItems& items, double time, double memory, uint64_t maxVisits)
      : given_(items), time_(time), memory_(memory), visitsLeft_(maxVisits) {
    arrange();
    for (uint32_t i = 0; i < items_.size(); ++i) {
      const std::vector<KnapsackOption>& options = *items_[i];
      const std::vector<uint32_t> on = hull(options);
      fastest_.push_back(on.front());
      for (size_t k = 1; k < on.size(); ++k) {
        const KnapsackOption &a = options[on[k - 1]], &b = options[on[k]];
        const double saved = a.memory - b.memory;
        steps_.push_back({(b.time - a.time) / saved, b.time - a.time, saved, i, on[k]});
      }
    }
    std::stable_sort(steps_.begin(), steps_.end(),
                     [](const Step& a, const Step& b) { return a.slope < b.slope; });
    restTime_.assign(items_.size() + 1, 0);
    restMemory_.assign(items_.size() + 1, 0);
    for (size_t i = items_.size(); i-- > 0;) {
      restTime_[i] = restTime_[i + 1] + (*items_[i])[fastest_[i]].time;
      restMemory_[i] = restMemory_[i + 1] + (*items_[i])[fastest_[i]].memory;
    }
    choices_.resize(items_.size());
  }

  KnapsackAnswer run() {
    KnapsackAnswer answer;
    answer.atLeast = relax(0, 0, 0);
    answer.atMost = memoryTaken() <= memory_ ? roundedTime_ : kInfinity;
    if (!descend(0, 0, 0)) {
      answer.kind = gaveUp_ ? KnapsackAnswer::Kind::undecided : KnapsackAnswer::Kind::none;
      return answer;
    }
    answer.kind = KnapsackAnswer::Kind::found;
    answer.choices.resize(items_.size());
    for (size_t i = 0; i < items_.size(); ++i) answer.choices[order_[i]] = choices_[i];
    return answer;
  }

 private:
  /// Equal items next to each other.
  void arrange() {
    order_.resize(given_.size());
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(),
                     [&](uint32_t a, uint32_t b) { return given_[a] < given_[b]; });
    for (uint32_t i : order_) items_.push_back(&given_[i]);
  }

  /// Decides the items from `first` on; the ones before took `time` and `memory`.
  bool descend(size_t first, double time, double memory) {
    if (visitsLeft_ == 0) {
      gaveUp_ = true;
      return false;
    }
    --visitsLeft_;
    if (first == items_.size()) return time <= time_ && memory <= memory_;
    const double bound = relax(first, time, memory);
    if (roundedTime_ <= time_ && memoryTaken() <= memory_) return true;
    if (bound > time_ || bound == kInfinity) return false;
    const bool same = first > 0 && *items_[first] == *items_[first - 1];
    const std::vector<KnapsackOption>& options = *items_[first];
    for (uint32_t o = same ? choices_[first - 1] : 0; o < options.size(); ++o) {
      choices_[first] = o;
      if (descend(first + 1, time + options[o].time, memory + options[o].memory)) return true;
    }
    return false;
  }

  double memoryTaken() const {
    double memory = 0;
    for (size_t i = 0; i < items_.size(); ++i) memory += (*items_[i])[choices_[i]].memory;
    return memory;
  }

  /// The least time of the linear relaxation; also fills the choices with its steps rounded up.
  double relax(size_t first, double time, double memory) {
    time += restTime_[first];
    double excess = memory + restMemory_[first] - memory_;
    for (size_t i = first; i < items_.size(); ++i) choices_[i] = fastest_[i];
    roundedTime_ = kInfinity;
    if (excess <= 0) return roundedTime_ = time;
    for (const Step& s : steps_) {
      if (s.item < first) continue;
      choices_[s.item] = s.option;
      if (s.memory >= excess) {
        roundedTime_ = time + s.time;
        return time + s.slope * excess;
      }
      time += s.time;
      excess -= s.memory;
    }
    return kInfinity;
  }

  const KnapsackItems& given_;
  double time_, memory_;
  uint64_t visitsLeft_;
  bool gaveUp_ = false;
  double roundedTime_ = 0;
  std::vector<uint32_t> order_;
  std::vector<const std::vector<KnapsackOption>*> items_;
  std::vector<uint32_t> fastest_, choices_;
  std::vector<Step> steps_;
  std::vector<double> restTime_, restMemory_;
};

}  // namespace

KnapsackAnswer chooseWithin(const KnapsackItems& items, double time, double memory,
                            uint64_t maxVisits) {
  return Chooser(items, time, memory, maxVisits).run();
}

}  // namespace meshplan
