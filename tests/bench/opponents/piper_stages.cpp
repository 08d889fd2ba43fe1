// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/opponents/piper_stages.h"

#include <algorithm>
#include <limits>
#include <set>

namespace meshplan {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kRounding = 1 + 1e-9;  // prefix sums differ that little from sums of their parts

}  // namespace

PiperStages::PiperStages(const PiperInstance& instance, const Downsets& sets)
    : instance_(instance),
      sets_(sets),
      syncSeconds_(4 / static_cast<double>(instance.microBatches) / instance.bandwidth) {
  std::set<int64_t> degrees;
  for (const PiperNode& n : instance.nodes)
    for (const auto& [degree, options] : n.options) {
      if (!options.empty() && degree <= instance.devices) degrees.insert(degree);
      for (const PiperOption& o : options)
        sameParameters_ = sameParameters_ && o.parameters == options.front().parameters;
    }
  degrees_.assign(degrees.begin(), degrees.end());
  for (int64_t d = 1; d <= std::min(instance.devices, instance.microBatches); ++d)
    if (instance.microBatches % d == 0) divisors_.push_back(d);
  // At most as many micro-batches are in flight as there are replicas in all stages.
  leastMemory_.assign(degrees_.size(), std::vector<std::vector<double>>(static_cast<size_t>(
                                           std::min(instance.devices, instance.microBatches) + 1)));
  addPrefixSums(sets);
}

void PiperStages::addPrefixSums(const Downsets& sets) {
  const size_t degrees = degrees_.size();
  time_.assign(degrees, std::vector<double>(sets.size()));
  sync_ = time_;
  unsupported_.assign(degrees, std::vector<uint32_t>(sets.size()));
  std::vector<double> device(sets.size()), replica(sets.size());
  for (uint32_t set = 0; set < sets.size(); ++set)
    for (const auto& [node, superset] : sets.steps(set)) {
      double leastDevice = kInfinity, leastReplica = kInfinity;
      for (size_t t = 0; t < degrees; ++t) {
        const auto found = instance_.nodes[node].options.find(degrees_[t]);
        const bool missing = found == instance_.nodes[node].options.end() || found->second.empty();
        double time = kInfinity, sync = kInfinity;
        if (!missing)
          for (const PiperOption& o : found->second) {
            time = std::min(time, o.time);
            sync = std::min(sync, o.parameters * syncSeconds_);
          }
        leastReplica = std::min(leastReplica, time);
        leastDevice = std::min(leastDevice, time * static_cast<double>(degrees_[t]));
        time_[t][superset] = time_[t][set] + (missing ? 0 : time);
        sync_[t][superset] = sync_[t][set] + (missing ? 0 : sync);
        unsupported_[t][superset] = unsupported_[t][set] + (missing ? 1 : 0);
      }
      device[superset] = device[set] + leastDevice;
      replica[superset] = replica[set] + leastReplica;
    }
  for (uint32_t set = 0; set < sets.size(); ++set) {
    outsideDevice_.push_back(device.back() - device[set]);
    outsideReplica_.push_back(replica.back() - replica[set]);
  }
}

bool PiperStages::supported(uint32_t larger, uint32_t smaller, uint32_t tensor) const {
  return unsupported_[tensor][larger] == unsupported_[tensor][smaller];
}

size_t PiperStages::fewestReplicas(uint32_t larger, uint32_t smaller, uint32_t tensor,
                                   double time) const {
  const double compute = time_[tensor][larger] - time_[tensor][smaller];
  const double sync = sync_[tensor][larger] - sync_[tensor][smaller];
  const double limit = time * kRounding;
  // compute / d + sync (d - 1) / d is monotone in d, falling when compute > sync.
  if (compute <= sync) return compute <= limit ? 0 : divisors_.size();
  if (sync >= limit) return divisors_.size();
  const double least = (compute - sync) / (limit - sync);
  return static_cast<size_t>(
      std::lower_bound(divisors_.begin(), divisors_.end(), least,
                       [](int64_t d, double value) { return static_cast<double>(d) < value; }) -
      divisors_.begin());
}

PiperStages::Term PiperStages::term(uint32_t node, const PiperOption& option,
                                    const PiperStageKey& key) const {
  const PiperNode& n = instance_.nodes[node];
  const auto outside = [&](uint32_t v) {
    return !sets_.contains(key.larger, v) || sets_.contains(key.smaller, v);
  };
  double bytes = 0;
  for (size_t e = 0; e < n.in.size(); ++e) {
    const PiperEdge& edge = instance_.edges[n.in[e]];
    if (outside(edge.from)) bytes += 2 * (edge.bytes + option.syncIn[e]);
  }
  for (size_t e = 0; e < n.out.size(); ++e) {
    const PiperEdge& edge = instance_.edges[n.out[e]];
    if (outside(edge.to)) bytes += 2 * (edge.bytes + option.syncOut[e]);
  }
  const double sync = option.parameters * syncSeconds_;
  return {option.time + bytes / instance_.bandwidth - sync, sync};
}

/// With the same parameters in all options of a layer, which choices are fastest does not depend on
/// the replicas: one is asked about in place of all.
PiperStageKey PiperStages::reduced(const PiperStageKey& key) const {
  PiperStageKey reduced = key;
  if (sameParameters_) reduced.replicas = 1;
  return reduced;
}

const PiperStages::Sums& PiperStages::sums(const PiperStageKey& key) {
  PiperStageKey reduced = this->reduced(key);
  reduced.inFlight = 0;
  const auto [at, added] = sums_.emplace(reduced, Sums());
  if (!added) return at->second;
  Sums& s = at->second;
  const auto d = static_cast<double>(reduced.replicas);
  for (uint32_t v : sets_.difference(key.larger, key.smaller)) {
    double best = kInfinity;
    Term fastest;
    const PiperOption* chosen = nullptr;
    for (const PiperOption& o : instance_.nodes[v].options.at(degrees_[key.tensor])) {
      const Term t = term(v, o, key);
      const double time = t.perReplica / d + t.fixed;
      if (time >= best) continue;
      best = time;
      fastest = t;
      chosen = &o;
    }
    s.perReplica += fastest.perReplica;
    s.fixed += fastest.fixed;
    s.a += chosen->memoryPerMicroBatch;
    s.b += chosen->memoryFixed;
  }
  return s;
}

/// Per set the bytes its layers need at least.
const std::vector<double>& PiperStages::leastMemory(uint32_t tensor, int64_t inFlight) {
  std::vector<double>& sums = leastMemory_[tensor][static_cast<size_t>(inFlight)];
  if (!sums.empty()) return sums;
  std::vector<double> bytes;
  for (const PiperNode& n : instance_.nodes) {
    const auto found = n.options.find(degrees_[tensor]);
    bytes.push_back(0);
    if (found == n.options.end() || found->second.empty()) continue;
    bytes.back() = kInfinity;
    for (const PiperOption& o : found->second)
      bytes.back() = std::min(
          bytes.back(), o.memoryPerMicroBatch * static_cast<double>(inFlight) + o.memoryFixed);
  }
  sums.resize(sets_.size());
  for (uint32_t set = 0; set < sets_.size(); ++set)
    for (const auto& [node, superset] : sets_.steps(set)) sums[superset] = sums[set] + bytes[node];
  return sums;
}

bool PiperStages::fits(const PiperStageKey& key, double time) {
  const auto y = static_cast<double>(key.inFlight);
  const std::vector<double>& least = leastMemory(key.tensor, key.inFlight);
  if (least[key.larger] - least[key.smaller] > instance_.memory * kRounding) return false;
  const Sums& s = sums(key);
  if (s.time(static_cast<double>(key.replicas)) > time) return false;
  if (s.a * y + s.b <= instance_.memory) return true;
  const PiperStageKey asked = reduced(key);
  return knapsackFits(
      asked, (time - s.fixed) * static_cast<double>(key.replicas / asked.replicas) + s.fixed);
}

bool PiperStages::knapsackFits(const PiperStageKey& key, double time) {
  Known& known = known_.emplace(key, Known{kInfinity, -kInfinity}).first->second;
  if (time >= known.feasible) return true;
  if (time <= known.infeasible) return false;
  ++knapsacks_;
  const KnapsackAnswer answer = chooseWithin(items(key), time, instance_.memory);
  if (answer.kind == KnapsackAnswer::Kind::undecided) ++undecided_;
  const bool found = answer.kind == KnapsackAnswer::Kind::found;
  known.feasible = std::min({known.feasible, answer.atMost, found ? time : kInfinity});
  known.infeasible =
      std::max({known.infeasible, answer.atLeast / kRounding, found ? -kInfinity : time});
  return found;
}

KnapsackItems PiperStages::items(const PiperStageKey& key) const {
  KnapsackItems items;
  const auto d = static_cast<double>(key.replicas), y = static_cast<double>(key.inFlight);
  for (uint32_t v : sets_.difference(key.larger, key.smaller)) {
    items.emplace_back();
    for (const PiperOption& o : instance_.nodes[v].options.at(degrees_[key.tensor])) {
      const Term t = term(v, o, key);
      items.back().push_back(
          {t.perReplica / d + t.fixed, o.memoryPerMicroBatch * y + o.memoryFixed});
    }
  }
  return items;
}

PiperStage PiperStages::stage(const PiperStageKey& key, double time) const {
  PiperStage stage;
  stage.nodes = sets_.difference(key.larger, key.smaller);
  stage.replicas = key.replicas;
  stage.tensor = degrees_[key.tensor];
  // A little more time than `fits` was asked for: sums in another order round differently.
  stage.choices = chooseWithin(items(key), time * kRounding, instance_.memory).choices;
  return stage;
}

size_t PiperStages::Hash::operator()(const PiperStageKey& k) const {
  uint64_t hash = k.larger;
  for (uint64_t part : {uint64_t{k.smaller}, uint64_t{k.tensor}, static_cast<uint64_t>(k.replicas),
                        static_cast<uint64_t>(k.inFlight)}) {
    hash = (hash ^ part) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 29;
  }
  return hash;
}

bool PiperStages::Equal::operator()(const PiperStageKey& a, const PiperStageKey& b) const {
  return a.larger == b.larger && a.smaller == b.smaller && a.tensor == b.tensor &&
         a.replicas == b.replicas && a.inFlight == b.inFlight;
}

}  // namespace meshplan
