// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/units.h"

namespace meshplan {

/// How long it took to move so many bytes.
struct TransferTime {
  double bytes = 0, seconds = 0;
};

/// seconds = latency + bytes / bandwidth. `deviation` is the median of |measured / fitted - 1|.
struct LinkFit {
  Seconds latency;
  BytesPerSecond bandwidth;  // at most 1e15
  double deviation = 0;

  double seconds(double bytes) const { return latency.value + bytes / bandwidth.value; }
};

/// Of the lines through two of the points, and those through one with no latency or no bandwidth
/// limit, the one with the least sum of |log(fitted / measured)|, with latency >= 0 and times that
/// do not fall with bytes. Sizes that grow by a factor count alike, and a few disturbed points
/// hardly move it. (Least absolute deviations: a best line always passes through two points,
/// Bloomfield and Steiger, "Least Absolute Deviations", 1983; for logarithms nearly so.) Throws
/// Error(input) for fewer than two sizes, and for times or sizes that are not positive and finite.
LinkFit fitLink(std::span<const TransferTime> points);

}  // namespace meshplan
