// SPDX-License-Identifier: Apache-2.0
#include "planner/measured_collectives.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "profiles/contradiction.h"

namespace meshplan {
namespace {

constexpr double kAssumedError = 0.15;  // between two sizes, where no third one tells
constexpr double kNear = 1.4;           // beyond the measured sizes, ln 4

double square(double x) {
  return x * x;
}

// In logarithms; ranks tell most.
double distance(int64_t a, int64_t b) {
  return std::abs(std::log(double(a) / double(b)));
}

/// The group with as many ranks as were measured; as it is where its links tell nothing about that.
GroupTopology likeSeries(const GroupTopology& group, int64_t ranks, int64_t nodes) {
  GroupTopology like = group;
  like.ranks = ranks;
  like.nodes = nodes;
  like.ranksPerNode = ceilDiv(ranks, nodes);
  const bool sameLinks =
      (like.nodes > 1) == (group.nodes > 1) && (like.ranksPerNode > 1) == (group.ranksPerNode > 1);
  return sameLinks ? like : group;
}

}  // namespace

MeasuredCollectives::MeasuredCollectives(std::span<const CollectiveMeasurement> rows,
                                         const std::string& transport) {
  std::map<std::tuple<CollectiveKind, int64_t, int64_t, int64_t>, size_t> places;
  for (const CollectiveMeasurement& row : rows) {
    if (row.transport != transport || row.bytes.value < 1) continue;
    const auto [at, isNew] =
        places.try_emplace({row.kind, row.ranks, row.nodes, row.groups}, series_.size());
    if (isNew) series_.push_back({row.kind, row.ranks, row.nodes, row.groups, {}, 0});
    const auto bytes = double(row.bytes.value);
    series_[at->second].points.push_back(
        {bytes, std::log(bytes), std::log(row.samples.median.value), medianError(row.samples)});
  }
  for (Series& s : series_) finish(s);
}

/// Each size but the first and the last from its neighbours.
void MeasuredCollectives::finish(Series& s) {
  std::sort(s.points.begin(), s.points.end(),
            [](const Point& a, const Point& b) { return a.bytes < b.bytes; });
  double squares = square(kAssumedError);
  for (size_t i = 1; i + 1 < s.points.size(); ++i) {
    const Point &a = s.points[i - 1], &b = s.points[i], &c = s.points[i + 1];
    const double f = (b.logBytes - a.logBytes) / (c.logBytes - a.logBytes);
    squares += square(a.logSeconds + f * (c.logSeconds - a.logSeconds) - b.logSeconds);
  }
  s.interpolationError = std::sqrt(squares / double(std::max<size_t>(s.points.size(), 2) - 1));
}

Estimate MeasuredCollectives::estimate(CollectiveKind kind, Bytes bytes, const GroupTopology& group,
                                       const CostModel& formula) const {
  const Estimate analytic = formula.collectiveTime(kind, bytes, group);
  if (series_.empty() || analytic.time.value <= 0) return analytic;
  const Series wanted = likeGroup(kind, group);
  const Series* series = nearest(wanted, kind);
  const bool same = series && series->ranks == wanted.ranks && series->nodes == wanted.nodes &&
                    series->groups == wanted.groups;
  const auto b = double(bytes.value);
  if (same && b >= series->points.front().bytes && b <= series->points.back().bytes)
    return between(*series, b);
  const Ratio r = series ? ratio(*series, bytes, group, formula)
                         : ratioOfOtherKinds(wanted, bytes, group, formula, analytic.uncertainty);
  const bool near = same && r.bytesApart <= kNear;
  const double own = same ? std::min(1.0, r.bytesApart / kNear / 2) : 1;
  return {analytic.time * std::exp(r.log), std::hypot(r.error, own * analytic.uncertainty),
          near ? Provenance::interpolated : Provenance::analytic};
}

/// A transfer between stages is between two ranks, however many stages there are.
MeasuredCollectives::Series MeasuredCollectives::likeGroup(CollectiveKind kind,
                                                           const GroupTopology& g) {
  if (kind != CollectiveKind::sendReceive) return {kind, g.ranks, g.nodes, g.groups, {}, 0};
  return {kind, 2, std::min<int64_t>(g.nodes, 2), g.groups, {}, 0};
}

const MeasuredCollectives::Series* MeasuredCollectives::nearest(const Series& wanted,
                                                                CollectiveKind kind) const {
  const Series* best = nullptr;
  double least = 0;
  for (const Series& s : series_) {
    if (s.kind != kind) continue;
    const double d = 2 * distance(s.nodes, wanted.nodes) + distance(s.ranks, wanted.ranks) +
                     distance(s.groups, wanted.groups);
    if (!best || d < least) best = &s, least = d;
  }
  return best;
}

Estimate MeasuredCollectives::between(const Series& series, double bytes) {
  const auto upper =
      std::lower_bound(series.points.begin(), series.points.end(), bytes,
                       [](const Point& p, double wanted) { return p.bytes < wanted; });
  if (upper->bytes == bytes)
    return {Seconds(std::exp(upper->logSeconds)), upper->error, Provenance::measured};
  const Point &a = *(upper - 1), &b = *upper;
  const double f = (std::log(bytes) - a.logBytes) / (b.logBytes - a.logBytes);
  const double error = std::hypot(std::max(a.error, b.error),
                                  2 * std::sqrt(f * (1 - f)) * series.interpolationError);
  return {Seconds(std::exp(a.logSeconds + f * (b.logSeconds - a.logSeconds))), error,
          Provenance::interpolated};
}

/// At the nearest size that the series covers.
MeasuredCollectives::Ratio MeasuredCollectives::ratio(const Series& series, Bytes bytes,
                                                      const GroupTopology& group,
                                                      const CostModel& formula) {
  const double wanted = std::max(1.0, double(bytes.value));
  const double covered =
      std::clamp(wanted, series.points.front().bytes, series.points.back().bytes);
  const Estimate measured = between(series, covered);
  const GroupTopology like = likeSeries(group, series.ranks, series.nodes);
  const double expected =
      formula.collectiveTime(series.kind, Bytes(int64_t(covered)), like).time.value;
  if (expected <= 0) return {0, measured.uncertainty, 0};
  return {std::log(measured.time.value / expected), measured.uncertainty,
          std::abs(std::log(wanted / covered))};
}

MeasuredCollectives::Ratio MeasuredCollectives::ratioOfOtherKinds(const Series& wanted, Bytes bytes,
                                                                  const GroupTopology& group,
                                                                  const CostModel& formula,
                                                                  double uncertainty) const {
  double sum = 0, squares = 0, count = 0;
  for (CollectiveKind kind :
       {CollectiveKind::allReduce, CollectiveKind::reduceScatter, CollectiveKind::allGather,
        CollectiveKind::allToAll, CollectiveKind::broadcast, CollectiveKind::sendReceive}) {
    const Series* series = nearest(wanted, kind);
    if (!series) continue;
    const double r = ratio(*series, bytes, group, formula).log;
    sum += r, squares += r * r, count += 1;
  }
  if (count == 0) return {};
  const double mean = sum / count;
  const double within = (squares - count * mean * mean + square(uncertainty)) / count;
  const double share = square(mean) / (square(mean) + within / count + 1e-12);
  return {mean * share, std::sqrt(within), 0};
}

}  // namespace meshplan
