// SPDX-License-Identifier: Apache-2.0
#include "planner/residual_field.h"

#include <algorithm>
#include <cmath>

namespace meshplan {
namespace {

constexpr double kRanges[] = {0.1, 0.35, 0.7, 1.4, 2.8, 5.6, 11};
constexpr double kOwn[] = {0, 0.1, 0.3, 0.6};
// Where too few points tell: a factor of 4.
constexpr double kAssumedRange = 1.4, kAssumedOwn = 0.1;
constexpr size_t kFewest = 4;
constexpr size_t kMostLeftOut = 400;
constexpr double kPriorPoints = 2;     // that the given variance counts as
constexpr double kNugget = 1e-9;       // keeps the factorisation positive
constexpr double kCoincident = 1e-12;  // squared distance

}  // namespace

struct ResidualField::Neighbours {
  size_t count = 0;
  std::array<size_t, kNeighbours> index;
  std::array<double, kNeighbours> squared;

  void offer(size_t i, double d) {
    if (count == kNeighbours && d >= squared[count - 1]) return;
    size_t at = count < kNeighbours ? count++ : count - 1;
    for (; at > 0 && squared[at - 1] > d; --at)
      squared[at] = squared[at - 1], index[at] = index[at - 1];
    squared[at] = d, index[at] = i;
  }
};

ResidualField::ResidualField(std::vector<Point> points, double variance, double leastOwn)
    : points_(std::move(points)),
      variance_(variance),
      range_(kAssumedRange),
      own_(std::max(kAssumedOwn, leastOwn)),
      leastOwn_(leastOwn) {
  mergeCoincident();
  double sum = kPriorPoints * variance;
  for (const Point& p : points_) sum += p.residual * p.residual;
  variance_ = std::max(sum / (kPriorPoints + double(points_.size())), 1e-8);
  fit();
}

ResidualField::Answer ResidualField::at(const WorkShape& shape) const {
  Answer a = krige(nearest(shape, kNone), range_, own_);
  a.variance = a.variance * scale_ + scatter_;
  return a;
}

ResidualField::Neighbours ResidualField::nearest(const WorkShape& shape, size_t without) const {
  Neighbours near;
  for (size_t i = 0; i < points_.size(); ++i)
    if (i != without) near.offer(i, squaredDistance(shape, points_[i].shape));
  return near;
}

ResidualField::Answer ResidualField::krige(const Neighbours& near, double range, double own) const {
  // Cholesky factor of the correlations; `y` and `z` are the right sides solved forward.
  std::array<std::array<double, kNeighbours>, kNeighbours> l;
  std::array<double, kNeighbours> y, z;
  double residual = 0, explained = 0;
  for (size_t i = 0; i < near.count; ++i) {
    const Point& p = points_[near.index[i]];
    const bool same = leastOwn_ == 0 && near.squared[i] < kCoincident;
    double sumY = (same ? 1 : 1 - own) * std::exp(-std::sqrt(near.squared[i]) / range);
    double sumZ = p.residual;
    double diagonal = 1 + kNugget;
    for (size_t j = 0; j < i; ++j) {
      const Point& q = points_[near.index[j]];
      double c = (1 - own) * std::exp(-std::sqrt(squaredDistance(p.shape, q.shape)) / range);
      for (size_t k = 0; k < j; ++k) c -= l[i][k] * l[j][k];
      l[i][j] = c / l[j][j];
      diagonal -= l[i][j] * l[i][j];
      sumY -= l[i][j] * y[j];
      sumZ -= l[i][j] * z[j];
    }
    l[i][i] = std::sqrt(std::max(diagonal, kNugget));
    y[i] = sumY / l[i][i];
    z[i] = sumZ / l[i][i];
    residual += y[i] * z[i];
    explained += y[i] * y[i];
  }
  explained = std::clamp(explained, 0.0, 1.0);
  return {residual, variance_ * (1 - explained), explained};
}

/// Works that shapes cannot tell apart count as one point; what they differ by adds to the
/// variance.
void ResidualField::mergeCoincident() {
  std::sort(points_.begin(), points_.end(),
            [](const Point& a, const Point& b) { return a.shape.at < b.shape.at; });
  std::vector<Point> merged;
  double squares = 0;
  size_t extra = 0;
  for (size_t i = 0, end = 0; i < points_.size(); i = end) {
    double sum = 0;
    while (end < points_.size() &&
           squaredDistance(points_[end].shape, points_[i].shape) < kCoincident)
      sum += points_[end++].residual;
    const double mean = sum / double(end - i);
    for (size_t k = i; k < end; ++k) squares += std::pow(points_[k].residual - mean, 2);
    extra += end - i - 1;
    merged.push_back({points_[i].shape, mean});
  }
  points_ = std::move(merged);
  scatter_ = extra > 0 ? squares / double(extra) : 0;
}

void ResidualField::fit() {
  if (points_.empty()) return;
  if (points_.size() < kFewest) return tryOut(kAssumedRange, own_);
  for (double range : kRanges)
    for (double own : kOwn)
      if (own >= leastOwn_) tryOut(range, own);
}

void ResidualField::tryOut(double range, double own) {
  const size_t stride = std::max<size_t>(1, points_.size() / kMostLeftOut);
  double squares = 0, scaled = 0, count = 0;
  for (size_t i = 0; i < points_.size(); i += stride, ++count) {
    const Answer a = krige(nearest(points_[i].shape, i), range, own);
    const double error = a.residual - points_[i].residual;
    squares += error * error;
    scaled += error * error / std::max(a.variance, 1e-8);
  }
  const double error = std::sqrt(squares / count);
  if (error >= leaveOneOutError_) return;
  leaveOneOutError_ = error;
  range_ = range;
  own_ = own;
  scale_ = (scaled + kPriorPoints) / (count + kPriorPoints);
}

}  // namespace meshplan
