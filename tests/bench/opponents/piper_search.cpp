// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/opponents/piper_search.h"

#include <algorithm>
#include <cmath>

#include "core/units.h"
#include "tests/bench/opponents/downsets.h"
#include "tests/bench/opponents/piper_stages.h"

namespace meshplan {
namespace {

constexpr double kPrecision = 1e-9;

Downsets downsetsOf(const PiperInstance& p) {
  std::vector<std::pair<uint32_t, uint32_t>> edges;
  for (const PiperEdge& e : p.edges) edges.emplace_back(e.from, e.to);
  return Downsets(p.nodes.size(), edges);
}

/// No stage of any plan takes longer: all layers in one, the slowest options, every edge cut.
double slowestOf(const PiperInstance& p) {
  double compute = 0, bytes = 0;
  for (const PiperNode& n : p.nodes) {
    double time = 0, most = 0;
    for (const auto& [degree, options] : n.options)
      for (const PiperOption& o : options) {
        time = std::max(time, o.time);
        double sum = 4 * o.parameters / static_cast<double>(p.microBatches);
        for (size_t e = 0; e < n.in.size(); ++e) sum += 2 * (p.edges[n.in[e]].bytes + o.syncIn[e]);
        for (size_t e = 0; e < n.out.size(); ++e)
          sum += 2 * (p.edges[n.out[e]].bytes + o.syncOut[e]);
        most = std::max(most, sum);
      }
    compute += time;
    bytes += most;
  }
  return 2 * (compute + bytes / p.bandwidth);
}

/// A way to run the last layers: what it takes and its first stage.
struct Point {
  int64_t devices = 0, replicas = 0;
  uint32_t rest = 0, restPoint = 0;  // the layers behind the first stage, and their point
  uint32_t tensor = 0;
  int64_t stageReplicas = 0;
};

/// Points none of which takes fewer devices and fewer replicas than another; devices ascend.
class Front {
 public:
  const std::vector<Point>& points() const { return points_; }
  void clear() { points_.clear(); }

  bool dominates(int64_t devices, int64_t replicas) const {
    const auto after = firstAbove(devices);
    return after != points_.begin() && std::prev(after)->replicas <= replicas;
  }

  void insert(const Point& p) {
    auto at = firstAbove(p.devices);
    const auto last =
        std::find_if(at, points_.end(), [&](const Point& q) { return q.replicas < p.replicas; });
    at = points_.erase(at, last);
    if (at != points_.begin() && std::prev(at)->devices == p.devices)
      *std::prev(at) = p;
    else
      points_.insert(at, p);
  }

 private:
  std::vector<Point>::const_iterator firstAbove(int64_t devices) const {
    return std::upper_bound(points_.begin(), points_.end(), devices,
                            [](int64_t d, const Point& p) { return d < p.devices; });
  }
  std::vector<Point>::iterator firstAbove(int64_t devices) {
    return std::upper_bound(points_.begin(), points_.end(), devices,
                            [](int64_t d, const Point& p) { return d < p.devices; });
  }

  std::vector<Point> points_;
};

class Searcher {
 public:
  explicit Searcher(const PiperInstance& p)
      : instance_(p),
        sets_(downsetsOf(p)),
        stages_(p, sets_),
        mostReplicas_(std::min(p.devices, p.microBatches)),
        fronts_(sets_.size()),
        seen_(sets_.size(), UINT32_MAX) {}

  PiperAnswer run() {
    PiperAnswer answer;
    answer.downsets = sets_.size();
    double low = stages_.deviceSecondsOutside(0) / static_cast<double>(instance_.devices);
    double high = slowestOf(instance_) * 2;
    oneOrder_ = true;
    bisect(low, high, answer);
    oneOrder_ = false;
    low = stages_.deviceSecondsOutside(0) / static_cast<double>(instance_.devices);
    // When that order's best is the best there is, which is common, this is the only question.
    if (answer.plan.empty() || improve(high * (1 - kPrecision), high, answer))
      bisect(low, high, answer);
    else
      low = high * (1 - kPrecision);
    answer.timePerSample = answer.plan.empty() ? 0 : high;
    answer.lowerBound = answer.plan.empty() ? 0 : std::min(low, high);
    answer.bottlenecks = bottlenecks_;
    answer.stages = stages_.stages();
    answer.knapsacks = stages_.knapsacks();
    answer.undecided = stages_.undecided();
    return answer;
  }

 private:
  void bisect(double& low, double& high, PiperAnswer& answer) {
    if (answer.plan.empty() && !improve(high / 2, high, answer)) return;
    while (high - low > kPrecision * high) {
      const double middle = (low + high) / 2;
      if (!improve(middle, high, answer)) low = middle;
    }
  }

  /// Replaces the plan by one within `time`, if there is one, and `high` by its time.
  bool improve(double time, double& high, PiperAnswer& answer) {
    PiperPlan found = planWithin(time);
    if (found.empty()) return false;
    const double reached = piperTimePerSample(instance_, found);
    if (reached >= high) return false;
    high = reached;
    answer.plan = std::move(found);
    return true;
  }

  /// A plan whose stages all take at most `time`; empty when there is none.
  PiperPlan planWithin(double time) {
    ++bottlenecks_;
    for (Front& f : fronts_) f.clear();
    std::fill(seen_.begin(), seen_.end(), UINT32_MAX);
    fronts_[0].insert({});
    const auto all = static_cast<uint32_t>(sets_.size() - 1);
    for (uint32_t rest = 0; rest < all; ++rest) {
      if (fronts_[rest].points().empty()) continue;
      growFrom(rest, time);
      if (!fronts_[all].points().empty()) return unwind(time);
    }
    return {};
  }

  /// Puts one stage, of every possible set of layers, in front of the layers `rest`.
  void growFrom(uint32_t rest, double time) {
    std::vector<uint32_t> reached{rest};
    while (!reached.empty()) {
      const uint32_t set = reached.back();
      reached.pop_back();
      for (const auto& [node, superset] : sets_.steps(set)) {
        if (oneOrder_ && &superset != &sets_.steps(set).front().superset) break;
        if (seen_[superset] == rest) continue;
        seen_[superset] = rest;
        reached.push_back(superset);
        for (uint32_t t = 0; t < stages_.degrees().size(); ++t)
          if (stages_.supported(superset, rest, t)) addStage(superset, rest, t, time);
      }
    }
  }

  void addStage(uint32_t set, uint32_t rest, uint32_t tensor, double time) {
    const size_t fewest = stages_.fewestReplicas(set, rest, tensor, time);
    const std::vector<Point>& points = fronts_[rest].points();
    for (uint32_t i = 0; i < points.size(); ++i)
      for (size_t k = fewest; k < stages_.divisors().size(); ++k) {
        const int64_t d = stages_.divisors()[k];
        const Point next{points[i].devices + d * stages_.degrees()[tensor],
                         points[i].replicas + d,
                         rest,
                         i,
                         tensor,
                         d};
        if (!canFinish(next, set, time) || fronts_[set].dominates(next.devices, next.replicas))
          break;
        if (!stages_.fits({set, rest, tensor, d, ceilDiv(next.replicas, d)}, time)) continue;
        fronts_[set].insert(next);
        break;
      }
  }

  /// Whether devices and replicas are left for the layers in front.
  bool canFinish(const Point& p, uint32_t set, double time) const {
    const auto left = [&](double seconds) { return std::ceil(seconds / time * (1 - 1e-9)); };
    return static_cast<double>(p.devices) + left(stages_.deviceSecondsOutside(set)) <=
               static_cast<double>(instance_.devices) &&
           static_cast<double>(p.replicas) + left(stages_.replicaSecondsOutside(set)) <=
               static_cast<double>(mostReplicas_);
  }

  PiperPlan unwind(double time) const {
    PiperPlan plan;
    auto set = static_cast<uint32_t>(sets_.size() - 1);
    for (uint32_t point = 0; set != 0;) {
      const Point& p = fronts_[set].points()[point];
      plan.push_back(stages_.stage(
          {set, p.rest, p.tensor, p.stageReplicas, ceilDiv(p.replicas, p.stageReplicas)}, time));
      set = p.rest;
      point = p.restPoint;
    }
    return plan;
  }

  const PiperInstance& instance_;
  Downsets sets_;
  PiperStages stages_;
  int64_t mostReplicas_;
  std::vector<Front> fronts_;   // per set
  std::vector<uint32_t> seen_;  // per set: the rest it was last reached from
  bool oneOrder_ = false;       // cut one topological order only
  uint64_t bottlenecks_ = 0;
};

}  // namespace

PiperAnswer searchPiper(const PiperInstance& instance) {
  return Searcher(instance).run();
}

}  // namespace meshplan
