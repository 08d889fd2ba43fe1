// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "planner/cost_model.h"
#include "profiles/measurement.h"

namespace meshplan {

/// Measured times of collectives on one transport, by what a group looks like:
///   the same group and bytes      the measured time
///   the same group, between       log-log linear between the neighbouring sizes
///   the same group, beyond        the formula, times the ratio at the nearest size
///   another group                 the formula, times the ratio at the same bytes of the group that
///   is
///                                 nearest in ranks, nodes and groups (in logarithms)
///   another kind                  the formula, times the mean ratio of the other kinds' nearest
///   groups,
///                                 drawn towards 1 by how much they disagree
/// Thread-safe when const; a look-up does not allocate.
class MeasuredCollectives {
 public:
  /// `rows` one per key (profiles/contradiction.h); those of other transports are left out.
  MeasuredCollectives() = default;
  MeasuredCollectives(std::span<const CollectiveMeasurement> rows, const std::string& transport);

  bool empty() const { return series_.empty(); }
  Estimate estimate(CollectiveKind kind, Bytes bytes, const GroupTopology& group,
                    const CostModel& formula) const;

 private:
  struct Point {
    double bytes = 0, logBytes = 0, logSeconds = 0, error = 0;
  };
  struct Series {
    CollectiveKind kind{};
    int64_t ranks = 2, nodes = 1, groups = 1;
    std::vector<Point> points;  // by bytes
    double interpolationError = 0;
  };

  struct Ratio {
    double log = 0, error = 0;  // ln(measured / formula)
    double bytesApart = 0;      // in logarithms, from the nearest size
  };

  static void finish(Series& series);
  static Series likeGroup(CollectiveKind kind, const GroupTopology& group);
  const Series* nearest(const Series& wanted, CollectiveKind kind) const;
  static Estimate between(const Series& series, double bytes);
  static Ratio ratio(const Series& series, Bytes bytes, const GroupTopology& group,
                     const CostModel& formula);
  Ratio ratioOfOtherKinds(const Series& wanted, Bytes bytes, const GroupTopology& group,
                          const CostModel& formula, double uncertainty) const;

  std::vector<Series> series_;
};

}  // namespace meshplan
