// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "backend/rank_backend.h"
#include "core/cluster.h"

namespace meshplan {

/// What ranks that are threads of this process run on: "cpu" or "cuda".
std::unique_ptr<RankBackend> rankBackend(const std::string& name, const LocalRanks& ranks);
/// For a process that is one rank of `world`, whose messages go by `transport`: every rank calls
/// it.
std::unique_ptr<RankBackend> rankBackend(const std::string& name, const LocalRanks& ranks,
                                         Communicator& world, const std::string& transport);

/// Lets the backend use what the store at `path` (may be empty) knows about algorithms of
/// libraries, and keeps what it has found out. A store that cannot be used is warned of.
void useChoices(RankBackend& backend, const std::string& path);
void keepChoices(const RankBackend& backend, const std::string& path);

/// So many GPUs like those of this machine, equally many on each of the hosts: devices of the
/// catalogue, or, where it has not this one, measured and on one host. Throws Error(usage) when
/// there is none.
Cluster loadGpuCluster(int ranks, int hosts = 1);

}  // namespace meshplan
