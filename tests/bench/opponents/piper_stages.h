// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "tests/bench/opponents/downsets.h"
#include "tests/bench/opponents/knapsack.h"
#include "tests/bench/opponents/piper.h"

namespace meshplan {

/// Layers of `larger` without those of `smaller` as one stage of `replicas` at the tensor degree
/// numbered `tensor`, `inFlight` micro-batches held.
struct PiperStageKey {
  uint32_t larger = 0, smaller = 0, tensor = 0;
  int64_t replicas = 1, inFlight = 1;
};

/// Answers whether a stage is fast enough and fits, first by bounds from prefix sums over downsets,
/// then by the sums of its fastest options, at last by a knapsack; remembers what it learnt.
class PiperStages {
 public:
  PiperStages(const PiperInstance& instance, const Downsets& sets);

  const std::vector<int64_t>& degrees() const { return degrees_; }    // tensor-parallel
  const std::vector<int64_t>& divisors() const { return divisors_; }  // of the batch, ascending

  /// Whether every layer of the stage has options of this degree.
  bool supported(uint32_t larger, uint32_t smaller, uint32_t tensor) const;
  /// The first divisor of the batch, as an index, for which the stage is not surely slower than
  /// `time`; the number of divisors when there is none.
  size_t fewestReplicas(uint32_t larger, uint32_t smaller, uint32_t tensor, double time) const;
  /// Seconds x devices, and seconds x replicas, that the layers outside `set` take at least.
  double deviceSecondsOutside(uint32_t set) const { return outsideDevice_[set]; }
  double replicaSecondsOutside(uint32_t set) const { return outsideReplica_[set]; }

  bool fits(const PiperStageKey& key, double time);
  /// The stage with its choices; `fits` must hold.
  PiperStage stage(const PiperStageKey& key, double time) const;

  uint64_t stages() const { return sums_.size(); }
  uint64_t knapsacks() const { return knapsacks_; }
  uint64_t undecided() const { return undecided_; }

 private:
  struct Sums {  // of the fastest options
    double perReplica = 0, fixed = 0, a = 0, b = 0;
    double time(double d) const { return perReplica / d + fixed; }
  };
  struct Known {  // about one knapsack
    double feasible = 0, infeasible = 0;
  };
  struct Hash {
    size_t operator()(const PiperStageKey& k) const;
  };
  struct Equal {
    bool operator()(const PiperStageKey& a, const PiperStageKey& b) const;
  };
  struct Term {  // of an option: seconds = perReplica / d + fixed
    double perReplica = 0, fixed = 0;
  };

  void addPrefixSums(const Downsets& sets);
  Term term(uint32_t node, const PiperOption& option, const PiperStageKey& key) const;
  PiperStageKey reduced(const PiperStageKey& key) const;
  const std::vector<double>& leastMemory(uint32_t tensor, int64_t inFlight);
  const Sums& sums(const PiperStageKey& key);
  KnapsackItems items(const PiperStageKey& key) const;
  bool knapsackFits(const PiperStageKey& key, double time);

  const PiperInstance& instance_;
  const Downsets& sets_;
  double syncSeconds_;  // of a byte of parameters, per micro-batch, over infinitely many replicas
  bool sameParameters_ = true;  // over the options of any layer and degree
  std::vector<int64_t> degrees_, divisors_;
  /// [degree][set], sums of the least over the options.
  std::vector<std::vector<double>> time_, sync_;
  std::vector<std::vector<std::vector<double>>> leastMemory_;  // [degree][in flight][set], lazily
  std::vector<std::vector<uint32_t>> unsupported_;             // [degree][set]
  std::vector<double> outsideDevice_, outsideReplica_;         // [set]
  std::unordered_map<PiperStageKey, Sums, Hash, Equal> sums_;
  std::unordered_map<PiperStageKey, Known, Hash, Equal> known_;
  uint64_t knapsacks_ = 0, undecided_ = 0;
};

}  // namespace meshplan
