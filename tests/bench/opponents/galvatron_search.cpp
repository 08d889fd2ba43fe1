// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/opponents/galvatron_search.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <tuple>

#include "tests/bench/opponents/layer_counts.h"

namespace meshplan {
namespace {

using Sharding = GalvatronStrategy::Sharding;
using Doubles = std::vector<double>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// How layers may be spread: up to `widest` devices per layer, by sequence only when `ulysses`.
struct Mode {
  int64_t microBatches = 1, pipeline = 1, widest = 1;
  bool ulysses = false;
  friend auto operator<=>(const Mode&, const Mode&) = default;
};

struct Task {
  Mode mode;
  GalvatronStrategy embedding;
  double bound = 0;
};

struct Point {
  double alone = 0, synchronised = 0;
  size_t index = 0;  // in the stage's counts
};

/// The terms of the step time that never fall when a stage gets slower; so the least of them over
/// the fronts bounds every plan.
double monotoneTime(const Doubles& synchronised, const Doubles& alone, int64_t microBatches) {
  const auto stages = static_cast<int64_t>(alone.size());
  double time = GalvatronCost::stepTime(Doubles(alone.size()), alone, microBatches);
  double behind = 0;
  for (size_t i = alone.size(); i-- > 0;) {
    const double last = static_cast<double>(microBatches - 1) * alone.back();
    const double first = static_cast<double>(microBatches - stages) * alone.front();
    time = std::max({time, synchronised[i] + behind + last, synchronised[i] + behind + first});
    behind += alone[i];
  }
  return time;
}

class Searcher {
 public:
  explicit Searcher(const GalvatronCost& cost) : cost_(cost), setting_(cost.setting()) {}

  GalvatronAnswer run() {
    listTasks();
    std::stable_sort(tasks_.begin(), tasks_.end(),
                     [](const Task& a, const Task& b) { return a.bound < b.bound; });
    answer_.tasks = tasks_.size();
    best_ = lower_ = kInfinity;
    for (const Task& task : tasks_) {
      if (task.bound >= best_) break;
      ++answer_.solved;
      solve(task);
    }
    if (best_ < kInfinity) {
      answer_.time = best_;
      answer_.lowerBound = std::min(best_, lower_);
    }
    return answer_;
  }

 private:
  void listTasks() {
    for (int64_t m = 1; m <= setting_.batch; ++m) {
      if (setting_.batch % m != 0) continue;
      for (int64_t p = 1; p <= std::min({setting_.devices(), setting_.layers, m}); p *= 2) {
        const int64_t most = setting_.devices() / p;
        // Groups of one kind are a case of mixed ones of the same width, and cost no buffer less;
        // only without any tensor parallelism does the buffer go.
        for (int64_t widest = 1; widest <= most; widest *= 2) addTasks({m, p, widest, false});
        addTasks({m, p, most, true});
      }
    }
  }

  void addTasks(const Mode& mode) {
    const auto& layers = strategies(mode, true);
    if (layers.empty()) return;
    for (const GalvatronStrategy& embedding : strategies(mode, false)) {
      Task task{mode, embedding, 0};
      task.bound = boundOf(task);
      if (task.bound < kInfinity) tasks_.push_back(task);
    }
  }

  std::vector<GalvatronStrategy> strategies(const Mode& mode, bool layers) const {
    std::vector<GalvatronStrategy> found;
    for (int64_t inner = 1; inner <= mode.widest; inner *= 2)
      for (bool ulysses : {false, true}) {
        if (inner == 1 ? ulysses : mode.ulysses && !ulysses) continue;
        GalvatronStrategy s;
        s.pipeline = mode.pipeline;
        (ulysses ? s.sequence : s.tensor) = inner;
        s.data = setting_.devices() / mode.pipeline / inner;
        if (s.data > setting_.batch / mode.microBatches) continue;
        for (Sharding sharding : {Sharding::none, Sharding::zero2, Sharding::zero3})
          for (bool recompute : {true, false}) {
            if ((sharding == Sharding::none) != (s.data == 1) || (recompute && !layers)) continue;
            s.sharding = sharding;
            s.recompute = recompute;
            found.push_back(s);
          }
      }
    return found;
  }

  const LayerRow& row(const Mode& mode, size_t stage) {
    LayerRow& row = rows_[{mode, stage}];
    if (row.layers > 0) return row;
    row.layers = cost_.division(mode.pipeline)[stage];
    for (const GalvatronStrategy& s : strategies(mode, true)) {
      const auto time = cost_.layerTime(s, mode.microBatches);
      const auto group = static_cast<size_t>(std::countr_zero(static_cast<uint64_t>(s.inner())));
      row.options.push_back({time.alone, time.synchronised,
                             cost_.layerMemory(s, mode.microBatches, static_cast<int64_t>(stage)),
                             group});
      row.entering.resize(group + 1);
      row.entering[group] = cost_.reshardTime(s.inner(), mode.pipeline, mode.microBatches);
    }
    return row;
  }

  /// What is left for the layers of each stage.
  std::vector<int64_t> memoryLeft(const Task& task) const {
    const Mode& mode = task.mode;
    const int64_t buffer =
        cost_.bufferMemory(mode.ulysses ? 0 : mode.widest, mode.pipeline, mode.microBatches);
    std::vector<int64_t> left = cost_.embeddingMemory(task.embedding, mode.microBatches);
    for (int64_t& bytes : left) bytes = cost_.usableMemory() - buffer - bytes;
    return left;
  }

  double boundOf(const Task& task) {
    const std::vector<int64_t> left = memoryLeft(task);
    Doubles alone = cost_.embeddingTime(task.embedding, task.mode.microBatches), synchronised;
    double last = 0;
    for (size_t stage = 0; stage < alone.size(); ++stage) {
      const LayerRow& row = this->row(task.mode, stage);
      const auto least = [&](double a, double b) { return leastSum(row, a, b, left[stage]); };
      const auto others = static_cast<double>(task.mode.microBatches - 1);
      last = others * alone[stage] + least(others, 1);
      alone[stage] += least(1, 0);
      synchronised.push_back(least(0, 1));
    }
    return std::max(last, monotoneTime(synchronised, alone, task.mode.microBatches));
  }

  const LayerCounts& counts(const Mode& mode, size_t stage) {
    const auto key = std::pair(mode, stage);
    const auto found = counts_.find(key);
    if (found != counts_.end()) return found->second;
    int64_t most = 0;
    for (const GalvatronStrategy& embedding : strategies(mode, false))
      most = std::max(most, memoryLeft({mode, embedding, 0})[stage]);
    return counts_.emplace(key, LayerCounts(row(mode, stage), most)).first->second;
  }

  void solve(const Task& task) {
    const std::vector<int64_t> left = memoryLeft(task);
    const Doubles other = cost_.embeddingTime(task.embedding, task.mode.microBatches);
    fronts_.assign(left.size(), {});
    leastAlone_.clear();
    for (size_t stage = 0; stage < left.size(); ++stage) {
      const auto& sums = counts(task.mode, stage).sums();
      double synchronised = kInfinity;
      for (size_t i = 0; i < sums.size(); ++i) {
        if (sums[i].memory > left[stage] || sums[i].synchronised >= synchronised) continue;
        synchronised = sums[i].synchronised;
        fronts_[stage].push_back({sums[i].alone + other[stage], synchronised, i});
      }
      if (fronts_[stage].empty()) return;
      leastAlone_.push_back(fronts_[stage].front().alone);
    }
    chosen_.assign(left.size(), 0);
    combine(task, 0, leastAlone_, Doubles(left.size()));
  }

  void combine(const Task& task, size_t stage, Doubles alone, Doubles synchronised) {
    const int64_t m = task.mode.microBatches;
    const double bound = monotoneTime(synchronised, alone, m);
    if (bound >= best_) return;
    if (stage == fronts_.size()) {
      lower_ = std::min(lower_, bound);
      const double time = GalvatronCost::stepTime(synchronised, alone, m);
      if (time >= best_) return;
      best_ = time;
      keep(task);
      return;
    }
    for (size_t i = 0; i < fronts_[stage].size(); ++i) {
      chosen_[stage] = i;
      alone[stage] = fronts_[stage][i].alone;
      synchronised[stage] = fronts_[stage][i].synchronised;
      combine(task, stage + 1, alone, synchronised);
    }
  }

  void keep(const Task& task) {
    answer_.plan = {task.mode.microBatches, task.mode.pipeline, {}, task.embedding};
    const std::vector<GalvatronStrategy> all = strategies(task.mode, true);
    for (size_t stage = 0; stage < fronts_.size(); ++stage) {
      const LayerCounts& counts = counts_.at({task.mode, stage});
      const std::vector<int64_t> of = counts.counts(fronts_[stage][chosen_[stage]].index);
      for (size_t o = 0; o < all.size(); ++o)
        answer_.plan.layers.insert(answer_.plan.layers.end(), static_cast<size_t>(of[o]), all[o]);
    }
  }

  const GalvatronCost& cost_;
  const GalvatronSetting& setting_;
  std::vector<Task> tasks_;
  std::map<std::pair<Mode, size_t>, LayerRow> rows_;
  std::map<std::pair<Mode, size_t>, LayerCounts> counts_;
  GalvatronAnswer answer_;
  double best_ = 0, lower_ = 0;
  std::vector<std::vector<Point>> fronts_;  // per stage of the task being solved, alone ascending
  Doubles leastAlone_;
  std::vector<size_t> chosen_;
};

}  // namespace

GalvatronAnswer searchGalvatron(const GalvatronCost& cost) {
  return Searcher(cost).run();
}

}  // namespace meshplan
