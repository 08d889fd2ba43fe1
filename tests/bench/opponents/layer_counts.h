// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace meshplan {

/// What one layer costs with one strategy: two times of a micro-batch and memory.
struct LayerOption {
  double alone = 0, synchronised = 0;
  int64_t memory = 0;
  size_t group = 0;  // of strategies between which nothing has to be moved
};

/// Equal layers in a row, each of which takes one of the options.
struct LayerRow {
  std::vector<LayerOption> options;  // by ascending group
  std::vector<double> entering;      // per group: time of changing to it from an earlier group
  int64_t layers = 0;
};

/// Ways to choose for a row of layers, groups in ascending order, as sums: all that fit into
/// `memory` and are not worse than another in both times and memory. Exact. Layers are equal, so
/// only how many take each option counts, and the front grows with the distinct sums rather than
/// with the assignments.
class LayerCounts {
 public:
  LayerCounts(const LayerRow& row, int64_t memory);

  const std::vector<LayerOption>& sums() const { return sums_; }
  /// How many layers take each option at sums()[index].
  std::vector<int64_t> counts(size_t index) const;

 private:
  struct Link {
    uint32_t previous = 0, option = 0;
  };

  void addLayer(const LayerRow& row, int64_t left);
  static void keepFront(std::vector<LayerOption> candidates, const std::vector<Link>& origins,
                        bool perGroup, std::vector<LayerOption>& sums, std::vector<Link>& links);

  size_t options_;
  std::vector<LayerOption> sums_;
  std::vector<std::vector<Link>> links_;  // [layer][point]
};

/// A lower bound of the least `alone` x a + `synchronised` x b over a row within `memory`:
/// fractions of layers may take options. Infinite when nothing fits.
double leastSum(const LayerRow& row, double a, double b, int64_t memory);

}  // namespace meshplan
