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

/// The GPUs of this machine as a cluster of so many ranks: devices of the catalogue. Throws
/// Error(usage) when there is none, or the catalogue does not know it.
Cluster loadGpuCluster(int ranks);

}  // namespace meshplan
