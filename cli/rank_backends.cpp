// SPDX-License-Identifier: Apache-2.0
#include "cli/rank_backends.h"

#include <fmt/format.h>

#include "backend/gpus.h"
#include "core/error.h"
#include "profiles/load_cluster.h"

namespace meshplan {

std::unique_ptr<RankBackend> rankBackend(const std::string& name, const LocalRanks& ranks,
                                         const std::string& transport) {
  if (name == "cuda") return gpuBackend(ranks.ranks);
  return processorBackend(ranks, transport);
}

Cluster loadGpuCluster(int ranks) {
  const GpuState state = gpuState();
  if (state.gpus.empty())
    throw Error(ErrorKind::usage, state.problem, state.remedy).at("--backend cuda");
  Cluster cluster = loadCluster(fmt::format("{}x{}", ranks, gpuModel(state.gpus.front().name)));
  return cluster;
}

}  // namespace meshplan
