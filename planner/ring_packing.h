// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace meshplan {

/// The most rings that pass through all vertices at once over direct links, each link used at most
/// as often as it is wide: `width[i][j]` links join vertices i and j (symmetric). This is how
/// collective libraries use machines whose devices are joined pairwise, like the hybrid cube mesh
/// of DGX-1. 0 when there is no ring. Two vertices: their width. Above two, every undirected ring
/// counts once and can be used in both directions. At most 8 vertices; exact unless the search
/// exceeds a fixed number of steps, then the best found.
int64_t packRings(const std::vector<std::vector<uint32_t>>& width);

}  // namespace meshplan
