// SPDX-License-Identifier: Apache-2.0
#include "gui/models/memory_curve.h"

#include <algorithm>

namespace meshplan::gui {

MemoryCurve::MemoryCurve(const std::vector<MemoryPoint>& points) {
  if (points.empty()) return;
  mips_.emplace_back();
  for (const MemoryPoint& p : points) {
    times_.push_back(p.time.value);
    mips_[0].push_back(p.bytes);
  }
  while (mips_.back().size() > 1) {
    const std::vector<Bytes>& fine = mips_.back();
    std::vector<Bytes> coarse;
    for (size_t i = 0; i < fine.size(); i += 2)
      coarse.push_back(i + 1 < fine.size() ? std::max(fine[i], fine[i + 1]) : fine[i]);
    mips_.push_back(std::move(coarse));
  }
}

Bytes MemoryCurve::at(double t) const {
  return most(t, t);
}

Bytes MemoryCurve::most(double begin, double end) const {
  const auto after = [&](double t) {
    return size_t(std::upper_bound(times_.begin(), times_.end(), t) - times_.begin());
  };
  size_t from = after(begin), to = after(end);
  if (from > 0) --from;
  Bytes best;
  for (size_t level = 0; from < to; ++level) {
    if (from & 1) best = std::max(best, mips_[level][from++]);
    if (to & 1) best = std::max(best, mips_[level][--to]);
    from /= 2;
    to /= 2;
  }
  return best;
}

}  // namespace meshplan::gui
