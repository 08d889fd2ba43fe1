// SPDX-License-Identifier: Apache-2.0
#include "planner/search/elimination.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"

namespace meshplan {
namespace {

constexpr size_t kMaxTable = size_t{1} << 24;

/// One point of a table entry's front. `origins` are the points it was summed from, one per
/// combined factor.
struct Point {
  ChoiceCost cost;
  uint16_t value = 0;  // of the eliminated variable
  std::vector<uint32_t> origins;
};
using Front = std::vector<Point>;

/// A table over some variables. A factor made by eliminating `variable` remembers what it combined.
struct Factor {
  std::vector<uint32_t> scope;
  std::vector<Front> entries;  // row-major over the scope
  uint32_t variable = UINT32_MAX;
  std::vector<uint32_t> combined;  // factors, in the order of Point::origins
};

bool dominates(const ChoiceCost& a, const ChoiceCost& b) {
  return a.time <= b.time && a.activations <= b.activations && a.parameters <= b.parameters;
}

bool before(const Point& a, const Point& b) {
  if (a.cost.time != b.cost.time) return a.cost.time < b.cost.time;
  if (a.cost.activations != b.cost.activations) return a.cost.activations < b.cost.activations;
  return a.cost.parameters < b.cost.parameters;
}

/// Keeps the non-dominated points in ascending time, then every k-th of them if there are too many.
void prune(Front& front, size_t maxFront) {
  std::stable_sort(front.begin(), front.end(), before);
  Front kept;
  for (Point& p : front)
    if (std::none_of(kept.begin(), kept.end(),
                     [&](const Point& k) { return dominates(k.cost, p.cost); }))
      kept.push_back(std::move(p));
  if (kept.size() > maxFront) {
    Front thin;
    for (size_t i = 0; i < maxFront; ++i)
      thin.push_back(std::move(kept[i * (kept.size() - 1) / (maxFront - 1)]));
    kept = std::move(thin);
  }
  front = std::move(kept);
}

Front combine(const Front& a, const Front& b, size_t maxFront) {
  Front sum;
  sum.reserve(a.size() * b.size());
  for (const Point& p : a)
    for (uint32_t j = 0; j < b.size(); ++j) {
      Point q = p;
      q.cost += b[j].cost;
      q.origins.push_back(j);
      sum.push_back(std::move(q));
    }
  if (b.size() > 1) prune(sum, maxFront);
  return sum;
}

class Eliminator {
 public:
  Eliminator(const PairwiseProblem& problem, size_t maxFront)
      : maxFront_(maxFront), neighbours_(problem.unary.size()) {
    for (const auto& values : problem.unary) domain_.push_back(values.size());
    for (uint32_t v = 0; v < problem.unary.size(); ++v) addTable({v}, problem.unary[v]);
    for (const auto& edge : problem.edges) {
      addTable({edge.a, edge.b}, edge.costs);
      neighbours_[edge.a].insert(edge.b);
      neighbours_[edge.b].insert(edge.a);
    }
  }

  std::vector<ParetoPoint> run() {
    std::set<uint32_t> left;
    for (uint32_t v = 0; v < domain_.size(); ++v) left.insert(v);
    while (!left.empty()) {
      const uint32_t v = *std::min_element(left.begin(), left.end(), [&](uint32_t a, uint32_t b) {
        return neighbours_[a].size() < neighbours_[b].size();
      });
      left.erase(v);
      eliminateVariable(v);
    }
    return collect();
  }

 private:
  void addTable(std::vector<uint32_t> scope, const std::vector<ChoiceCost>& costs) {
    Factor f;
    f.scope = std::move(scope);
    for (const ChoiceCost& c : costs) {
      f.entries.emplace_back();
      if (std::isfinite(c.time)) f.entries.back().push_back({c, 0, {}});
    }
    active_.push_back(static_cast<uint32_t>(factors_.size()));
    factors_.push_back(std::move(f));
  }

  void eliminateVariable(uint32_t v) {
    Factor result;
    result.variable = v;
    const auto touches = [&](uint32_t f) {
      const auto& scope = factors_[f].scope;
      return std::find(scope.begin(), scope.end(), v) != scope.end();
    };
    std::copy_if(active_.begin(), active_.end(), std::back_inserter(result.combined), touches);
    active_.erase(std::remove_if(active_.begin(), active_.end(), touches), active_.end());
    result.scope.assign(neighbours_[v].begin(), neighbours_[v].end());
    connectNeighbours(v);
    fill(result);
    active_.push_back(static_cast<uint32_t>(factors_.size()));
    factors_.push_back(std::move(result));
  }

  void connectNeighbours(uint32_t v) {
    for (uint32_t a : neighbours_[v]) {
      neighbours_[a].erase(v);
      for (uint32_t b : neighbours_[v])
        if (a != b) neighbours_[a].insert(b);
    }
  }

  void fill(Factor& result) {
    size_t size = 1;
    for (uint32_t s : result.scope) {
      size *= domain_[s];
      if (size > kMaxTable)
        throw Error(ErrorKind::usage, "the operator graph is too entangled for an exact search",
                    "fix some choices with --strategy");
    }
    result.entries.resize(size);
    std::vector<size_t> values(domain_.size());
    for (size_t entry = 0; entry < size; ++entry) {
      size_t rest = entry;
      for (size_t i = result.scope.size(); i-- > 0;) {
        values[result.scope[i]] = rest % domain_[result.scope[i]];
        rest /= domain_[result.scope[i]];
      }
      Front& front = result.entries[entry];
      for (size_t value = 0; value < domain_[result.variable]; ++value) {
        values[result.variable] = value;
        Front sum{{{}, static_cast<uint16_t>(value), {}}};
        for (uint32_t f : result.combined) {
          sum = combine(sum, entryOf(factors_[f], values), maxFront_);
          if (sum.empty()) break;
        }
        front.insert(front.end(), std::make_move_iterator(sum.begin()),
                     std::make_move_iterator(sum.end()));
      }
      prune(front, maxFront_);
    }
  }

  const Front& entryOf(const Factor& f, const std::vector<size_t>& values) const {
    size_t index = 0;
    for (uint32_t s : f.scope) index = index * domain_[s] + values[s];
    return f.entries[index];
  }

  /// Sums the constant factors that are left (one per connected component) and unwinds each point's
  /// choices.
  std::vector<ParetoPoint> collect() {
    Front total{{{}, 0, {}}};
    for (uint32_t f : active_) total = combine(total, factors_[f].entries[0], maxFront_);
    prune(total, maxFront_);
    std::vector<ParetoPoint> points;
    for (const Point& p : total) {
      std::vector<size_t> values(domain_.size());
      for (size_t i = 0; i < active_.size(); ++i) unwind(active_[i], p.origins[i], values);
      points.push_back({p.cost, {values.begin(), values.end()}});
    }
    return points;
  }

  void unwind(uint32_t factor, uint32_t point, std::vector<size_t>& values) const {
    const Factor& f = factors_[factor];
    if (f.variable == UINT32_MAX) return;
    const Point& p = entryOf(f, values)[point];
    values[f.variable] = p.value;
    for (size_t i = 0; i < f.combined.size(); ++i) unwind(f.combined[i], p.origins[i], values);
  }

  size_t maxFront_;
  std::vector<size_t> domain_;
  std::vector<std::set<uint32_t>> neighbours_;
  std::vector<Factor> factors_;
  std::vector<uint32_t> active_;
};

}  // namespace

std::vector<ParetoPoint> eliminate(const PairwiseProblem& problem, size_t maxFront) {
  return Eliminator(problem, maxFront).run();
}

}  // namespace meshplan
