// SPDX-License-Identifier: Apache-2.0
#include "planner/link_sharing.h"

#include <algorithm>
#include <limits>

namespace meshplan {
namespace {

// A link this close to full is full: the last flow through it must not be left a rounding error of
// bandwidth.
constexpr double kFull = 1e-12;

}  // namespace

void LinkSharing::share(std::span<const LinkUse> uses, std::span<const double> limits, size_t links,
                        std::span<double> rates) {
  weight_.assign(limits.size(), 0);
  active_.assign(limits.size(), 0);
  left_.assign(links, 1);
  for (const LinkUse& use : uses) {
    weight_[use.flow] = std::max(weight_[use.flow], use.demand);
    active_[use.flow] = 1;
  }
  std::copy(limits.begin(), limits.end(), rates.begin());
  level_ = 0;
  while (std::find(active_.begin(), active_.end(), 1) != active_.end()) {
    growth_.assign(links, 0);
    for (const LinkUse& use : uses)
      if (active_[use.flow]) growth_[use.link] += use.demand / weight_[use.flow];
    const double step = std::max(nextLevel(uses, limits) - level_, 0.0);
    for (size_t r = 0; r < links; ++r) left_[r] -= growth_[r] * step;
    level_ += step;
    freeze(uses, limits, rates);
  }
}

double LinkSharing::nextLevel(std::span<const LinkUse> uses, std::span<const double> limits) const {
  double next = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < limits.size(); ++i)
    if (active_[i]) next = std::min(next, weight_[i] * limits[i]);
  for (const LinkUse& use : uses)
    if (active_[use.flow])
      next = std::min(next, level_ + std::max(left_[use.link], 0.0) / growth_[use.link]);
  return next;
}

void LinkSharing::freeze(std::span<const LinkUse> uses, std::span<const double> limits,
                         std::span<double> rates) {
  for (size_t i = 0; i < limits.size(); ++i)
    if (active_[i] && level_ >= weight_[i] * limits[i] * (1 - kFull)) active_[i] = 0;
  for (const LinkUse& use : uses)
    if (active_[use.flow] && left_[use.link] <= kFull) {
      rates[use.flow] = level_ / weight_[use.flow];
      active_[use.flow] = 0;
    }
}

}  // namespace meshplan
