// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/attributes.h"

namespace meshplan {

/// The bucket of a distance in T5 (Raffel et al. 2020, section 2.1, as published with the model):
/// half of the buckets for single steps, the rest for a logarithmic range up to max_distance; half
/// of all for keys behind the query where attention looks both ways. The keys of a bucket are
/// neighbours.
struct RelativeBuckets {
  RelativeBuckets(const Attributes& a, int64_t total)
      : bothWays(a.getInt("bidirectional", 1) != 0),
        count(bothWays ? total / 2 : total),
        farthest(a.getInt("max_distance", 128)) {}

  /// Of a key `ahead` positions behind its query in the sequence; negative: before it.
  int64_t of(int64_t ahead) const {
    const int64_t base = bothWays && ahead > 0 ? count : 0;
    const int64_t distance = bothWays ? std::abs(ahead) : std::max<int64_t>(0, -ahead);
    const int64_t exact = count / 2;
    if (distance < exact || exact == 0) return base + std::min(distance, count - 1);
    const double scale = std::log(static_cast<double>(distance) / static_cast<double>(exact)) /
                         std::log(static_cast<double>(farthest) / static_cast<double>(exact));
    const auto far = exact + static_cast<int64_t>(scale * static_cast<double>(count - exact));
    return base + std::min(far, count - 1);
  }

  bool bothWays;
  int64_t count, farthest;
};

}  // namespace meshplan
