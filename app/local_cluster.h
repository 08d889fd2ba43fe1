// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "app/notices.h"
#include "core/cluster.h"

namespace meshplan {

/// How many ranks "local" (one per core) or "local:4" names; nothing for other texts. Throws
/// Error(usage) for "local:" and no count.
std::optional<int> localRankCount(const std::string& cluster);

/// So many ranks of this machine's processor, with the device and the link between ranks that the
/// profile store knows; else they are measured now, in about two seconds, and stored there unless
/// `profiles` is empty. Each has its share of the cores in threads, unless `threads` says how many.
Cluster loadLocalCluster(int ranks, const std::string& profiles, const Tell& tell, int threads = 0);

/// "local" and "local:4", or what loadCluster (profiles/load_cluster.h) understands.
Cluster loadNamedCluster(const std::string& text, const std::string& device,
                         const std::string& profiles, const Tell& tell);

}  // namespace meshplan
