// SPDX-License-Identifier: Apache-2.0
#include "planner/class_ratios.h"

#include <algorithm>
#include <cmath>

#include "core/hash.h"
#include "planner/median.h"

namespace meshplan {
namespace {

struct Kind {
  uint64_t above = 0;
  bool isView = false;
  std::vector<double> residuals;
  double median = 0, squares = 0;  // squares: of the residuals about the median
};

// Work that is handed on rather than done is like a view, whatever the operator.
OpClass classOf(const OperatorWork& work) {
  return work.kernels == 0 && work.bytes == 0 ? OpClass::view : work.def->opClass;
}

using Kinds = std::unordered_map<uint64_t, Kind>;

void summarise(Kind& kind) {
  kind.median = middleOf(kind.residuals);
  for (double r : kind.residuals) kind.squares += std::pow(r - kind.median, 2);
}

Kinds kindsOfLevel(const std::vector<ClassRatios::Residual>& residuals, size_t level) {
  Kinds kinds;
  for (const ClassRatios::Residual& r : residuals) {
    const auto ids = ClassRatios::kindsOf(*r.work);
    Kind& kind = kinds[ids[level]];
    kind.above = ids[level - 1];
    kind.isView = classOf(*r.work) == OpClass::view;
    kind.residuals.push_back(r.value);
  }
  for (auto& [id, kind] : kinds) summarise(kind);
  return kinds;
}

/// Of the device: its classes count equally, however often each was measured. Views tell nothing
/// about others.
Kinds deviceOf(const Kinds& classes) {
  Kind device;
  for (const auto& [id, kind] : classes)
    if (!kind.isView || classes.size() == 1) device.residuals.push_back(kind.median);
  summarise(device);
  return {{0, device}};
}

/// Variance of the medians about those of the kinds above, or what one alone would have.
double between(const Kinds& kinds, const Kinds& above, double alone) {
  if (kinds.size() < 2) return alone;
  double squares = 0;
  for (const auto& [id, kind] : kinds)
    squares += std::pow(kind.median - above.at(kind.above).median, 2);
  return squares / double(kinds.size());
}

}  // namespace

std::array<uint64_t, ClassRatios::kLevels> ClassRatios::kindsOf(const OperatorWork& work) {
  const uint64_t inClass =
      1 + (static_cast<uint64_t>(work.def->opClass) << 8 | static_cast<uint64_t>(work.compute));
  const uint64_t inPhase = inClass << 8 | (1 + static_cast<uint64_t>(work.phase));
  Hash hash;
  hash.add(inPhase);
  hash.add(work.def->name);
  return {0, inClass, inPhase, hash.value()};
}

ClassRatios::ClassRatios(const std::vector<Residual>& residuals, double uncertainty) {
  if (residuals.empty()) return;
  const double expected = uncertainty * uncertainty;
  Kinds above;
  for (size_t level = 0; level < kLevels; ++level) {
    const Kinds kinds =
        level == 0 ? deviceOf(kindsOfLevel(residuals, 1)) : kindsOfLevel(residuals, level);
    const double spread =
        level == 0 ? std::pow(kinds.begin()->second.median, 2) : between(kinds, above, expected);
    for (const auto& [id, kind] : kinds) {
      const auto n = double(kind.residuals.size());
      const double within = (kind.squares + expected) / n;
      const Ratio parent = level == 0 ? Ratio{} : ratios_.at(kind.above);
      const double share = spread > 0 ? spread / (spread + within / n) : 0;
      ratios_[id] = {parent.mean + (kind.median - parent.mean) * share, within + share * within / n,
                     kind.residuals.size()};
    }
    above = kinds;
  }
}

ClassRatios::Ratio ClassRatios::of(const OperatorWork& work) const {
  const auto kinds = kindsOf(work);
  for (size_t level = kLevels; level-- > 0;)
    if (const auto at = ratios_.find(kinds[level]); at != ratios_.end()) return at->second;
  return {};
}

}  // namespace meshplan
