// SPDX-License-Identifier: Apache-2.0
#include "planner/search/search.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <set>
#include <tuple>

#include "planner/search/parallel.h"

namespace meshplan {
namespace {

// Simulated at most, and while the closed form, corrected by the most that it was too pessimistic
// so far and by this much more, promises a place among the plans that are shown.
constexpr size_t kMaxSimulated = 96;
constexpr double kMargin = 0.02;
// ... and until so many in a row have brought less than a thousandth.
constexpr size_t kPatience = 16;
constexpr size_t kParetoSimulated = 8;
// Nobody takes a plan that many times slower for the memory that it saves.
constexpr double kSlowest = 1.5;
// Plans besides the promising ones are not simulated when they call routines more often than that:
// a pipeline of a thousand stages.
constexpr int64_t kMostCalls = 300000;

struct Baseline {
  const char* label;
  std::function<bool(const Candidate&)> matches;
};

std::vector<Baseline> baselines(const Cluster& cluster) {
  const int64_t node = cluster.devicesPerNode();
  return {{"data parallel",
           [](const Candidate& c) {
             return c.mesh.tensor == 1 && c.mesh.pipeline == 1 && c.mesh.expert == 1 &&
                    c.zeroStage == 0;
           }},
          {"FSDP",
           [](const Candidate& c) {
             return c.mesh.tensor == 1 && c.mesh.pipeline == 1 && c.mesh.expert == 1 &&
                    c.zeroStage == 3;
           }},
          {"tensor parallel in node",
           [node](const Candidate& c) {
             return c.mesh.tensor == node && node > 1 && c.mesh.pipeline == 1 &&
                    c.mesh.expert == 1 && c.zeroStage <= 1;
           }},
          {"pipeline only", [](const Candidate& c) {
             return c.mesh.tensor == 1 && c.mesh.pipeline > 1 && c.mesh.replicas() == 1 &&
                    c.zeroStage == 0;
           }}};
}

int64_t callsOf(const Candidate& c, int64_t globalBatch) {
  return 2 * c.mesh.pipeline * c.virtualStages * (globalBatch / c.mesh.replicas() / c.microBatch);
}

class Search {
 public:
  Search(const PlanContext& context, const SearchOptions& options)
      : context_(context), options_(options), start_(Clock::now()) {}

  SearchResult run() {
    Candidates space(context_, spaceOf(options_.filter));
    candidates_ = space.enumerate();
    if (stopped()) result_.complete = false;
    result_.evaluated = candidates_.size();
    result_.complete = !stopped();
    report(nullptr, 0);
    rank();
    simulateBaselines(space);
    simulatePromising(space);
    simulatePareto(space);
    if (options_.exhaustive) simulateRest(space);
    finish(space);
    return std::move(result_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  bool stopped() const {
    return (options_.stop && options_.stop()) || elapsed() > options_.timeLimit.value;
  }

  SearchSpace spaceOf(const StrategyFilter& filter) const {
    return {options_.globalBatch, options_.bucketBytes, filter, [this] { return stopped(); },
            options_.threads};
  }

  double key(const Candidate& c) const {
    return options_.objective == Objective::memory ? c.memory : c.estimate;
  }

  double key(const PlanReport& r) const {
    return options_.objective == Objective::memory ? static_cast<double>(r.peakMemory.value)
                                                   : r.stepTime.value;
  }

  void rank() {
    for (size_t i = 0; i < candidates_.size(); ++i)
      candidates_[i].fits ? order_.push_back(i) : void(++result_.rejected);
    std::stable_sort(order_.begin(), order_.end(),
                     [&](size_t a, size_t b) { return key(candidates_[a]) < key(candidates_[b]); });
    simulated_.assign(candidates_.size(), false);
  }

  void report(const PlanReport* best, uint64_t toSimulate) {
    if (options_.progress)
      options_.progress({result_.evaluated, result_.simulated, toSimulate, best});
  }

  void simulateBaselines(const Candidates& space) {
    if (options_.filter.empty) return addBaselines(space, candidates_, true);
    Candidates unfiltered(context_, spaceOf({}));
    addBaselines(unfiltered, unfiltered.enumerate(), false);
  }

  void addBaselines(const Candidates& space, const std::vector<Candidate>& all, bool allowed) {
    for (const Baseline& baseline : baselines(context_.cluster)) {
      std::vector<const Candidate*> matching;
      for (const Candidate& c : all)
        if (baseline.matches(c) && callsOf(c, options_.globalBatch) <= kMostCalls)
          matching.push_back(&c);
      std::stable_sort(matching.begin(), matching.end(),
                       [](const Candidate* a, const Candidate* b) {
                         return std::tuple(!a->fits, a->fits ? a->estimate : a->memory) <
                                std::tuple(!b->fits, b->fits ? b->estimate : b->memory);
                       });
      // A few tries: transient buffers can push the first choices over the limit.
      constexpr size_t kTries = 6;
      std::optional<PlanReport> chosen;
      for (size_t i = 0; i < std::min(kTries, matching.size()) && !(chosen && chosen->feasible);
           ++i) {
        if (chosen && (stopped() || !matching[i]->fits)) break;
        PlanReport r = evaluatePlan(context_, space.plan(*matching[i]));
        ++result_.simulated;
        if (!chosen || r.feasible || r.peakMemory < chosen->peakMemory) chosen = std::move(r);
      }
      if (!chosen) continue;
      chosen->label = baseline.label;
      result_.baselines.push_back(*chosen);
      if (allowed) pool_.push_back(*chosen);
    }
  }

  /// The least that the simulation may say of a candidate, judging by those simulated.
  double promise(const Candidate& c) const { return key(c) * (lowestRatio_ - kMargin); }

  /// That of the last plan that is shown: a promise above it changes nothing.
  double keyToBeat() const {
    std::vector<double> keys;
    std::set<std::string> shown;
    for (const PlanReport& r : pool_)
      if (r.feasible && shown.insert(r.strategy).second) keys.push_back(key(r));
    const auto top = static_cast<size_t>(std::max(options_.top, 1));
    if (keys.size() < top) return std::numeric_limits<double>::infinity();
    std::nth_element(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(top - 1), keys.end());
    return keys[top - 1];
  }

  double bestKey() const {
    double best = std::numeric_limits<double>::infinity();
    for (const PlanReport& r : pool_)
      if (r.feasible) best = std::min(best, key(r));
    return best;
  }

  const PlanReport* best() const {
    const PlanReport* found = nullptr;
    for (const PlanReport& r : pool_)
      if (r.feasible && (!found || key(r) < key(*found))) found = &r;
    return found;
  }

  /// Batches of fixed size keep the result independent of the number of threads.
  void simulate(const Candidates& space, const std::vector<size_t>& batch) {
    std::vector<Plan> plans;
    for (size_t i : batch) plans.push_back(space.plan(candidates_[i]));
    std::vector<PlanReport> reports(batch.size());
    parallelFor(batch.size(), options_.threads,
                [&](size_t i) { reports[i] = evaluatePlan(context_, plans[i]); });
    for (size_t i = 0; i < batch.size(); ++i) {
      simulated_[batch[i]] = true;
      lowestRatio_ = std::min(lowestRatio_, key(reports[i]) / key(candidates_[batch[i]]));
      pool_.push_back(std::move(reports[i]));
    }
    result_.simulated += batch.size();
    report(best(), std::min(order_.size(), kMaxSimulated));
  }

  void simulatePromising(const Candidates& space) {
    constexpr size_t kBatch = 8;
    size_t done = 0, inVain = 0;
    for (size_t next = 0; next < order_.size() && done < kMaxSimulated && inVain < kPatience;) {
      if (done > 0 && stopped()) {
        result_.complete = false;
        return;
      }
      std::vector<size_t> batch;
      for (; next < order_.size() && batch.size() < kBatch; ++next) {
        if (promise(candidates_[order_[next]]) > keyToBeat() && done >= kBatch) {
          next = order_.size();
          break;
        }
        batch.push_back(order_[next]);
      }
      const double before = bestKey();
      if (!batch.empty()) simulate(space, batch);
      done += batch.size();
      inVain = bestKey() < 0.999 * before ? 0 : inVain + batch.size();
    }
  }

  /// Branch and bound: every candidate that might beat the best one found is simulated, the others
  /// are proven slower by their bounds.
  void simulateRest(const Candidates& space) {
    constexpr size_t kBatch = 64;
    for (size_t next = 0; next < order_.size();) {
      if (stopped()) {
        result_.complete = false;
        return;
      }
      std::vector<size_t> batch;
      for (; next < order_.size() && batch.size() < kBatch; ++next) {
        const Candidate& c = candidates_[order_[next]];
        if (!simulated_[order_[next]] && leastKey(c) < bestKey()) batch.push_back(order_[next]);
      }
      if (!batch.empty()) simulate(space, batch);
    }
  }

  /// What the candidate's objective cannot be below.
  double leastKey(const Candidate& c) const {
    return options_.objective == Objective::memory ? c.memory : c.lowerBound;
  }

  /// The closed form's front of step time against memory, spread over at most kParetoSimulated
  /// points.
  void simulatePareto(const Candidates& space) {
    std::vector<size_t> byTime = order_, front;
    std::stable_sort(byTime.begin(), byTime.end(), [&](size_t a, size_t b) {
      return candidates_[a].estimate < candidates_[b].estimate;
    });
    double least = std::numeric_limits<double>::infinity();
    for (size_t i : byTime) {
      if (candidates_[i].estimate > kSlowest * candidates_[byTime.front()].estimate) break;
      if (callsOf(candidates_[i], options_.globalBatch) > kMostCalls) continue;
      if (candidates_[i].memory < 0.98 * least) {
        least = candidates_[i].memory;
        front.push_back(i);
      }
    }
    std::vector<size_t> batch;
    for (size_t k = 0; k < std::min(kParetoSimulated, front.size()); ++k) {
      const size_t i = front[k * front.size() / std::min(kParetoSimulated, front.size())];
      if (!simulated_[i]) batch.push_back(i);
    }
    if (stopped()) {
      result_.complete = result_.complete && batch.empty();
      return;
    }
    simulate(space, batch);
  }

  void finish(const Candidates& space) {
    std::vector<PlanReport> fitting;
    for (const PlanReport& r : pool_) {
      if (!r.feasible) continue;
      const bool known = std::any_of(fitting.begin(), fitting.end(), [&](const PlanReport& f) {
        return f.strategy == r.strategy && f.plan.strategies == r.plan.strategies;
      });
      if (!known) fitting.push_back(r);
    }
    std::stable_sort(fitting.begin(), fitting.end(), [&](const PlanReport& a, const PlanReport& b) {
      return std::tuple(key(a), a.stepTime.value) < std::tuple(key(b), b.stepTime.value);
    });
    addPareto(fitting);
    // Shardings that end up at one strategy text are one line to the user.
    for (const PlanReport& r : fitting) {
      const bool shown = std::any_of(result_.plans.begin(), result_.plans.end(),
                                     [&](const PlanReport& f) { return f.strategy == r.strategy; });
      if (!shown && result_.plans.size() < static_cast<size_t>(std::max(options_.top, 1)))
        result_.plans.push_back(r);
    }
    if (!result_.plans.empty()) result_.plans.front().label = "best";
    if (result_.plans.empty()) findNearestMiss(space);
    bound();
    result_.wall = Seconds(elapsed());
  }

  void addPareto(const std::vector<PlanReport>& fitting) {
    std::vector<const PlanReport*> byTime;
    for (const PlanReport& r : fitting) byTime.push_back(&r);
    std::stable_sort(byTime.begin(), byTime.end(), [](const PlanReport* a, const PlanReport* b) {
      return std::tuple(a->stepTime, a->peakMemory) < std::tuple(b->stepTime, b->peakMemory);
    });
    for (const PlanReport* r : byTime)
      if (result_.pareto.empty() || r->peakMemory < result_.pareto.back().peakMemory)
        result_.pareto.push_back(*r);
  }

  void findNearestMiss(const Candidates& space) {
    const PlanReport* least = nullptr;
    for (const PlanReport& r : pool_)
      if (!least || r.peakMemory < least->peakMemory) least = &r;
    if (least) result_.nearestMiss = *least;
    const auto smallest = std::min_element(
        candidates_.begin(), candidates_.end(),
        [](const Candidate& a, const Candidate& b) { return a.memory < b.memory; });
    if (smallest == candidates_.end()) return;
    PlanReport r = evaluatePlan(context_, space.plan(*smallest));
    if (!least || r.peakMemory < least->peakMemory) result_.nearestMiss = std::move(r);
  }

  void bound() {
    // What an early stop left out of the enumeration has no bound.
    if (result_.plans.empty() || !result_.complete) return;
    double fastest = std::numeric_limits<double>::infinity();
    for (const PlanReport& r : pool_)
      if (r.feasible) fastest = std::min(fastest, r.stepTime.value);
    double bound = fastest;
    for (size_t i : order_)
      if (!simulated_[i]) bound = std::min(bound, candidates_[i].lowerBound);
    result_.lowerBound = Seconds(bound);
    result_.gap = 1 - bound / fastest;
  }

  const PlanContext& context_;
  const SearchOptions& options_;
  Clock::time_point start_;
  std::vector<Candidate> candidates_;
  std::vector<size_t> order_;  // those that fit, most promising first
  std::vector<bool> simulated_;
  double lowestRatio_ = 1;  // simulated over closed form
  std::vector<PlanReport> pool_;
  SearchResult result_;
};

}  // namespace

SearchResult searchPlans(const PlanContext& context, const SearchOptions& options) {
  return Search(context, options).run();
}

}  // namespace meshplan
