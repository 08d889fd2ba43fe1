// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/bench/opponents/galvatron.h"

namespace meshplan {

/// How a layer, or the embedding and loss, is spread. Tensor and sequence (Ulysses) parallelism
/// exclude each other.
struct GalvatronStrategy {
  enum class Sharding { none, zero2, zero3 };
  int64_t pipeline = 1, tensor = 1, sequence = 1, data = 1;
  Sharding sharding = Sharding::none;
  bool recompute = false;

  int64_t inner() const { return tensor > sequence ? tensor : sequence; }
  int64_t sharded() const { return data * sequence; }
  friend auto operator<=>(const GalvatronStrategy&, const GalvatronStrategy&) = default;
};

struct GalvatronPlan {
  int64_t microBatches = 1, pipeline = 1;
  std::vector<GalvatronStrategy> layers;
  GalvatronStrategy embedding;
};

/// Reads the JSON that Galvatron's search writes. Throws Error(input) naming file and place.
GalvatronPlan parseGalvatronPlan(const GalvatronSetting& setting, const std::string& text,
                                 const std::string& file);

/// Galvatron's cost definitions (galvatron/core/cost_model, v2.4.1 at cea12ff), mixed precision,
/// asynchronous gradient reduction, 1F1B, sequence-parallel norms with a shared buffer. Seconds and
/// MiB.
class GalvatronCost {
 public:
  GalvatronCost(const GalvatronProfile& profile, const GalvatronSetting& setting);

  const GalvatronSetting& setting() const { return setting_; }

  struct Time {
    double synchronised = 0, alone = 0;  // with and without the gradients' reduction
  };
  /// One micro-batch through a layer, forward and backward.
  Time layerTime(const GalvatronStrategy& s, int64_t microBatches) const;
  /// Of a layer in a stage; whole MiB, rounded up.
  int64_t layerMemory(const GalvatronStrategy& s, int64_t microBatches, int64_t stage) const;
  /// One micro-batch through the embedding and the loss, per stage, without gradient reduction.
  std::vector<double> embeddingTime(const GalvatronStrategy& s, int64_t microBatches) const;
  /// Per stage, with what the framework itself takes.
  std::vector<int64_t> embeddingMemory(const GalvatronStrategy& s, int64_t microBatches) const;
  /// The buffer shared by layers of a tensor-parallel degree up to `widest`; 0 for widest = 0.
  int64_t bufferMemory(int64_t widest, int64_t pipeline, int64_t microBatches) const;
  /// Spreading a micro-batch anew between layers of different degrees, of which `wider` is the
  /// greater. Galvatron weighs it in choosing strategies but leaves it out of the time it reports.
  double reshardTime(int64_t wider, int64_t pipeline, int64_t microBatches) const;
  /// What plans may use: a fifth is kept for the allocator above 20 GiB.
  int64_t usableMemory() const;
  /// Layers per stage: even, the rest in the last one.
  std::vector<int64_t> division(int64_t pipeline) const;

  /// A step, given per stage the layers' synchronised time and all other time of a micro-batch.
  static double stepTime(const std::vector<double>& synchronised, const std::vector<double>& alone,
                         int64_t microBatches);

  struct Step {
    double time = 0;              // resharding between layers included
    double reported = 0;          // without it: what Galvatron prints
    std::vector<int64_t> memory;  // per stage
    bool fits = false;
  };
  /// Of a whole plan. Throws Error(input) for one that does not belong to the setting.
  Step step(const GalvatronPlan& plan) const;

 private:
  int64_t samples(const GalvatronStrategy& s, int64_t microBatches) const;
  double messageMebibytes(int64_t samples) const;
  double shardedShare(const GalvatronStrategy& s, int64_t microBatches) const;
  double reduceCost(const GalvatronStrategy& s) const;
  double layerMilliseconds(const GalvatronStrategy& s, int64_t microBatches, bool reduce) const;
  double withReduction(double backward, double mebibytes, double perMebibyte) const;
  void check(const GalvatronPlan& plan) const;

  const GalvatronProfile& profile_;
  GalvatronSetting setting_;
};

}  // namespace meshplan
