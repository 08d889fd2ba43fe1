// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "planner/work_shape.h"

namespace meshplan {

/// How far a formula is off, between the shapes where it was measured: simple kriging of residuals
/// about a known mean over the nearest points, with correlation (1 - own) exp(-distance / range)
/// (Cressie, Statistics for Spatial Data, 3.2); `own` is what a shape shares with no other, however
/// near, noise too. At a measured shape it returns the measured residual, between
/// shapes it never overshoots by much, far from all of them it returns to the mean. The range is
/// the one with the least leave-one-out error, and the variance is scaled so that it agrees with
/// those errors. Thread-safe when const; a look-up does not allocate.
class ResidualField {
 public:
  struct Point {
    WorkShape shape;
    double residual = 0;  // ln(measured / predicted), less the mean
  };
  struct Answer {
    double residual = 0;
    double variance = 0;   // of the residual
    double explained = 0;  // share of the field's variance that the measured shapes explain
  };

  /// `variance` is what is known of the field before any point (of its class). `leastOwn` above 0:
  /// the points stand for others, so that none is returned as it is.
  ResidualField(std::vector<Point> points, double variance, double leastOwn = 0);

  Answer at(const WorkShape& shape) const;
  double range() const { return range_; }
  /// Root mean square over the points, each predicted from the others.
  double leaveOneOutError() const { return leaveOneOutError_; }
  size_t size() const { return points_.size(); }

 private:
  static constexpr size_t kNeighbours = 10;
  static constexpr size_t kNone = static_cast<size_t>(-1);
  struct Neighbours;

  Neighbours nearest(const WorkShape& shape, size_t without) const;
  Answer krige(const Neighbours& near, double range, double own) const;
  void tryOut(double range, double own);
  void mergeCoincident();
  void fit();

  std::vector<Point> points_;
  double variance_, range_, own_, leastOwn_;
  double scale_ = 1, scatter_ = 0, leaveOneOutError_ = 1e300;
};

}  // namespace meshplan
