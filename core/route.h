// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/ids.h"

namespace meshplan {

/// One undirected edge of the part of a topology that a route may use. `bandwidth` in B/s,
/// `latency` in s.
struct RouteEdge {
  uint32_t a = 0, b = 0;
  double bandwidth = 0, latency = 0;
  int devices = 0;  // how many of its ends are devices
  LinkId link;
};

/// The widest path; among the widest the one with the fewest devices in between, then the least
/// latency, then the fewest links; of equal next hops the one that `choice` picks. Links in order
/// from `from` to `to`; empty when there is no path. Time O(E log V) in the edges given.
std::vector<LinkId> widestRoute(const std::vector<RouteEdge>& edges, uint32_t from, uint32_t to,
                                size_t choice);

}  // namespace meshplan
