// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "profiles/catalog.h"

namespace meshplan {

/// A number of equal servers.
struct ClusterRecipe {
  NodeTemplate node;
  int64_t nodes = 1;
};

/// "2x8xA100-SXM-80GB:ndr" and the like (load_cluster.h). Throws Error(usage).
ClusterRecipe parsePreset(const Catalog& catalog, const std::string& text);

/// `total` devices of one kind: on one reference node, or on as many whole ones as it takes; so
/// many on each of `nodes`, when that is given.
ClusterRecipe deviceRecipe(const Catalog& catalog, const std::string& device, int64_t perNode,
                           int64_t nodes);

/// Replaces the network by what follows ':' in a preset.
void applyNetwork(const Catalog& catalog, NodeTemplate& node, const std::string& network);

}  // namespace meshplan
