// SPDX-License-Identifier: Apache-2.0
#include "profiles/contradiction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "core/hash.h"

namespace meshplan {
namespace {

constexpr double kMedianOverMean = 1.2533;  // standard errors, sqrt(pi / 2)
constexpr double kLoneError = 0.1;
constexpr double kErrors = 4, kDifference = 0.1;

const char* phaseName(Phase p) {
  static constexpr const char* kNames[] = {"forward", "backward-input", "backward-weight",
                                           "update"};
  return kNames[static_cast<size_t>(p)];
}

bool usable(const Samples& s) {
  return s.count > 0 && std::isfinite(s.median.value) && s.median.value > 0;
}

template <class Row>
std::string newestLibraries(const std::vector<Row>& rows) {
  const auto newest = std::max_element(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return a.source.time < b.source.time;
  });
  return newest == rows.end() ? std::string() : newest->environment.libraries;
}

template <class Row>
Contradiction contradictionOf(const Row& counted, const Row& other) {
  return {describe(counted), counted.samples,     other.samples,    counted.source,
          other.source,      counted.environment, other.environment};
}

template <class Row>
using Group = std::vector<const Row*>;

/// Those of these libraries, where there are any.
template <class Row>
Group<Row> ofLibraries(const Group<Row>& group, const std::string& libraries) {
  Group<Row> own;
  for (const Row* row : group)
    if (row->environment.libraries == libraries) own.push_back(row);
  return own.empty() ? group : own;
}

/// A store hands rows over oldest first: of equals the last is the newer.
template <class Row>
const Row* newest(const Group<Row>& group) {
  const Row* best = group.front();
  for (const Row* row : group)
    if (row->source.time >= best->source.time) best = row;
  return best;
}

template <class Row>
const Row* middle(Group<Row> group) {
  const auto at = group.begin() + static_cast<long>(group.size() / 2);
  std::nth_element(group.begin(), at, group.end(), [](const Row* a, const Row* b) {
    return a->samples.median < b->samples.median;
  });
  return *at;
}

template <class Row>
Group<Row> agreeing(const Group<Row>& group) {
  const Row* standard = group.size() > 2 ? middle(group) : newest(group);
  Group<Row> agreed;
  for (const Row* row : group)
    if (!contradict(standard->samples, row->samples)) agreed.push_back(row);
  return agreed;
}

/// The newest row with the samples of all.
template <class Row>
Row pooled(const Group<Row>& group) {
  Row row = *newest(group);
  if (group.size() == 1) return row;
  const auto n = static_cast<double>(group.size());
  double mean = 0, square = 0;
  Samples s{0, 0, {}, {}, group.front()->samples.minimum};
  for (const Row* r : group) {
    mean += r->samples.median.value / n;
    square += r->samples.spread.value * r->samples.spread.value / n;
    s.count += r->samples.count;
    s.outliers += r->samples.outliers;
    s.minimum = std::min(s.minimum, r->samples.minimum);
  }
  for (const Row* r : group) square += std::pow(r->samples.median.value - mean, 2) / n;
  s.median = Seconds(mean);
  s.spread = Seconds(std::sqrt(square));
  row.samples = s;
  return row;
}

template <class Row>
CountedRows<Row> count(const std::vector<Row>& rows, const std::string& wanted) {
  const std::string libraries = wanted.empty() ? newestLibraries(rows) : wanted;
  std::unordered_map<uint64_t, size_t> places;
  std::vector<Group<Row>> groups;
  for (const Row& row : rows) {
    if (!usable(row.samples)) continue;
    const auto [at, isNew] = places.try_emplace(rowKey(row), groups.size());
    if (isNew) groups.emplace_back();
    groups[at->second].push_back(&row);
  }
  CountedRows<Row> result;
  for (const Group<Row>& group : groups) {
    const Group<Row> counted = agreeing(ofLibraries(group, libraries));
    result.rows.push_back(pooled(counted));
    for (const Row* row : group)
      if (std::find(counted.begin(), counted.end(), row) == counted.end() &&
          contradict(result.rows.back().samples, row->samples))
        result.contradictions.push_back(contradictionOf(result.rows.back(), *row));
  }
  return result;
}

}  // namespace

double medianError(const Samples& s) {
  if (s.count < 2) return kLoneError;
  return kMedianOverMean * s.spread.value / s.median.value / std::sqrt(double(s.count));
}

bool contradict(const Samples& a, const Samples& b) {
  const double difference = std::abs(a.median.value - b.median.value);
  const double error = std::hypot(medianError(a) * a.median.value, medianError(b) * b.median.value);
  return difference > kErrors * error &&
         difference > kDifference * std::min(a.median.value, b.median.value);
}

uint64_t rowKey(const OperatorMeasurement& row) {
  Hash hash;
  hash.add(workKey(row.work));
  hash.add(row.busy);
  return hash.value();
}

uint64_t rowKey(const CollectiveMeasurement& row) {
  Hash hash;
  hash.add(std::string_view(row.transport));
  hash.add(row.kind);
  for (int64_t n : {row.bytes.value, row.ranks, row.nodes, row.groups}) hash.add(n);
  return hash.value();
}

std::string describe(const OperatorMeasurement& row) {
  const std::string busy = row.busy > 1 ? fmt::format(", {} ranks busy", row.busy) : "";
  return fmt::format("{} {} {}{}", row.work.def->name, phaseName(row.work.phase), row.types, busy);
}

std::string describe(const CollectiveMeasurement& row) {
  const std::string nodes = row.nodes > 1 ? fmt::format(" on {} nodes", row.nodes) : "";
  const std::string groups =
      row.groups > 1 ? fmt::format(", {} groups side by side", row.groups) : "";
  return fmt::format("{} of {} bytes over {} ranks{} ({}){}", collectiveName(row.kind),
                     row.bytes.value, row.ranks, nodes, row.transport, groups);
}

CountedRows<OperatorMeasurement> countedRows(const std::vector<OperatorMeasurement>& rows,
                                             const std::string& libraries) {
  return count(rows, libraries);
}

CountedRows<CollectiveMeasurement> countedRows(const std::vector<CollectiveMeasurement>& rows,
                                               const std::string& libraries) {
  return count(rows, libraries);
}

}  // namespace meshplan
