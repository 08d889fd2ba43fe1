// SPDX-License-Identifier: Apache-2.0
#include "cli/rank_backends.h"

#include <fmt/format.h>

#include <filesystem>

#include "backend/gpus.h"
#include "cli/terminal.h"
#include "core/error.h"
#include "profiles/load_cluster.h"
#include "profiles/profile_store.h"

namespace meshplan {

std::unique_ptr<RankBackend> rankBackend(const std::string& name, const LocalRanks& ranks,
                                         const std::string& transport) {
  if (name == "cuda") return gpuBackend(ranks.ranks);
  return processorBackend(ranks, transport);
}

void useChoices(RankBackend& backend, const std::string& path) {
  if (path.empty() || !std::filesystem::exists(path)) return;
  try {
    backend.use(
        ProfileStore(path, ProfileStore::Access::read).algorithms(backend.environment().device));
  } catch (const Error& error) {
    warn(fmt::format("{}: algorithms are timed again", error.what()));
  }
}

void keepChoices(const RankBackend& backend, const std::string& path) {
  const std::vector<AlgorithmChoice> found = backend.found();
  if (path.empty() || found.empty()) return;
  try {
    ProfileStore(path).add(found);
  } catch (const Error& error) {
    warn(fmt::format("{}: which algorithms are the fastest is not kept", error.what()));
  }
}

Cluster loadGpuCluster(int ranks) {
  const GpuState state = gpuState();
  if (state.gpus.empty())
    throw Error(ErrorKind::usage, state.problem, state.remedy).at("--backend cuda");
  Cluster cluster = loadCluster(fmt::format("{}x{}", ranks, gpuModel(state.gpus.front())));
  return cluster;
}

}  // namespace meshplan
