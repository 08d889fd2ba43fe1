// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "profiles/measurement.h"

namespace meshplan {

/// Rows of the same work measured while different numbers of ranks of a host computed, put to one
/// number. A work that was only measured beside another number is corrected by the median ratio of
/// the works of its class that were measured beside both, else of all works, else not at all.
class BusyRatios {
 public:
  struct Row {
    const OperatorMeasurement* row = nullptr;
    double seconds = 0;      // with `busy` ranks
    double speedup = 0;      // over alone; 0: not measured both ways
    bool corrected = false;  // from another number of ranks
  };

  /// `rows` one per work and number of busy ranks; they must outlive it.
  BusyRatios(std::span<const OperatorMeasurement> rows, int busy);

  /// One per work, in the order of `rows`.
  const std::vector<Row>& rows() const { return rows_; }
  /// Median of the works of the class that were measured alone and with `busy` ranks, else of all,
  /// else 1; never below 1.
  double speedup(OpClass opClass) const;

 private:
  struct ByClass {
    std::unordered_map<int, double> medians;  // of time(busy) / time(other), by class; -1: all
    double of(OpClass opClass) const;
  };
  Row rowOf(const std::map<int, const OperatorMeasurement*>& work, int busy) const;

  std::vector<Row> rows_;
  std::unordered_map<int, ByClass> ratios_;  // by the other number
};

}  // namespace meshplan
