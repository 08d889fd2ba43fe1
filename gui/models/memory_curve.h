// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/timeline.h"

namespace meshplan::gui {

/// A memory curve (steps) that tells the most bytes in any time window in logarithmic time, from
/// the maxima over 2^n points.
class MemoryCurve {
 public:
  MemoryCurve() = default;
  explicit MemoryCurve(const std::vector<MemoryPoint>& points);

  bool empty() const { return times_.empty(); }
  Bytes at(double t) const;
  /// The most in [begin, end].
  Bytes most(double begin, double end) const;
  Bytes peak() const { return empty() ? Bytes(0) : mips_.back().front(); }

 private:
  std::vector<double> times_;
  std::vector<std::vector<Bytes>> mips_;  // [level][i]: the most of points [i 2^level, ...)
};

}  // namespace meshplan::gui
