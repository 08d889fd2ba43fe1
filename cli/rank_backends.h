// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "backend/rank_backend.h"
#include "core/cluster.h"

namespace meshplan {

/// What ranks of this process run on: "cpu" or "cuda". `transport` is that of the hosts' world.
std::unique_ptr<RankBackend> rankBackend(const std::string& name, const LocalRanks& ranks,
                                         const std::string& transport);

/// Lets the backend use what the store at `path` (may be empty) knows about algorithms of
/// libraries, and keeps what it has found out. A store that cannot be used is warned of.
void useChoices(RankBackend& backend, const std::string& path);
void keepChoices(const RankBackend& backend, const std::string& path);

/// The GPUs of this machine as a cluster of so many ranks: devices of the catalogue, or, where it
/// has not this one, measured. Throws Error(usage) when there is none.
Cluster loadGpuCluster(int ranks);

}  // namespace meshplan
