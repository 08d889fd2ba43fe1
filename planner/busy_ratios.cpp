// SPDX-License-Identifier: Apache-2.0
#include "planner/busy_ratios.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "planner/median.h"

namespace meshplan {
namespace {

constexpr int kAllClasses = -1;

int classOf(const OperatorMeasurement& row) {
  return static_cast<int>(row.work.def->opClass);
}

double secondsOf(const OperatorMeasurement& row) {
  return row.samples.median.value;
}

}  // namespace

double BusyRatios::ByClass::of(OpClass opClass) const {
  for (int c : {static_cast<int>(opClass), kAllClasses})
    if (const auto at = medians.find(c); at != medians.end()) return at->second;
  return 1;
}

BusyRatios::BusyRatios(std::span<const OperatorMeasurement> rows, int busy) {
  std::unordered_map<uint64_t, size_t> places;
  std::vector<std::map<int, const OperatorMeasurement*>> works;  // by busy ranks
  for (const OperatorMeasurement& row : rows) {
    const auto [at, isNew] = places.try_emplace(workKey(row.work), works.size());
    if (isNew) works.emplace_back();
    works[at->second][row.busy] = &row;
  }
  std::map<int, std::map<int, std::vector<double>>> ratios;  // by the other number, then class
  for (const auto& work : works) {
    const auto here = work.find(busy);
    if (here == work.end()) continue;
    for (const auto& [other, row] : work) {
      const double ratio = secondsOf(*here->second) / secondsOf(*row);
      ratios[other][classOf(*row)].push_back(ratio);
      ratios[other][kAllClasses].push_back(ratio);
    }
  }
  for (const auto& [other, classes] : ratios)
    for (const auto& [opClass, values] : classes)
      ratios_[other].medians[opClass] = middleOf(values);
  for (const auto& work : works) rows_.push_back(rowOf(work, busy));
}

/// The number of busy ranks that is nearest, in logarithms.
BusyRatios::Row BusyRatios::rowOf(const std::map<int, const OperatorMeasurement*>& work,
                                  int busy) const {
  const auto distance = [&](int other) { return std::abs(std::log(double(other) / busy)); };
  const auto best = std::min_element(work.begin(), work.end(), [&](const auto& a, const auto& b) {
    return distance(a.first) < distance(b.first);
  });
  Row out{best->second, secondsOf(*best->second), 0, best->first != busy};
  if (out.corrected) {
    const auto ratio = ratios_.find(best->first);
    if (ratio != ratios_.end()) out.seconds *= ratio->second.of(best->second->work.def->opClass);
  } else if (const auto alone = work.find(1); alone != work.end()) {
    out.speedup = std::max(1.0, out.seconds / secondsOf(*alone->second));
  }
  return out;
}

double BusyRatios::speedup(OpClass opClass) const {
  const auto at = ratios_.find(1);
  return at == ratios_.end() ? 1 : std::max(1.0, at->second.of(opClass));
}

}  // namespace meshplan
