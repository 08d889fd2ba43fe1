// SPDX-License-Identifier: Apache-2.0
#include "cli/rank_backends.h"

#include <fmt/format.h>

#include <filesystem>

#include "backend/gpus.h"
#include "backend/local_machine.h"
#include "cli/terminal.h"
#include "core/error.h"
#include "profiles/catalog.h"
#include "profiles/load_cluster.h"
#include "profiles/profile_store.h"

namespace meshplan {

std::unique_ptr<RankBackend> rankBackend(const std::string& name, const LocalRanks& ranks) {
  if (name == "cuda") return gpuBackend(ranks.ranks);
  return processorBackend(ranks);
}

std::unique_ptr<RankBackend> rankBackend(const std::string& name, const LocalRanks& ranks,
                                         Communicator& world, const std::string& transport) {
  if (name == "cuda") return gpuBackend(world);
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

namespace {

/// Joined as PCI Express joins them: what else there may be is not known.
Cluster measuredCluster(int ranks, const Gpu& gpu) {
  showProgress(fmt::format("measuring {}, which the catalogue has not ...", gpu.name));
  const DeviceSpec device = measureGpu(gpu);
  clearProgress();
  Cluster cluster =
      localCluster({.cores = 0, .ranks = ranks}, device, Catalog::builtIn().link("pcie4-x16"));
  cluster.name = cluster.source = fmt::format("{}x{}", ranks, device.name);
  return cluster;
}

}  // namespace

Cluster loadGpuCluster(int ranks, int hosts) {
  const GpuState state = gpuState();
  if (state.gpus.empty())
    throw Error(ErrorKind::usage, state.problem, state.remedy).at("--backend cuda");
  const Gpu& gpu = state.gpus.front();
  if (!Catalog::builtIn().isDevice(gpuModel(gpu))) return measuredCluster(ranks, gpu);
  if (hosts == 1) return loadCluster(fmt::format("{}x{}", ranks, gpuModel(gpu)));
  return loadCluster(fmt::format("{}x{}x{}", hosts, ranks / hosts, gpuModel(gpu)));
}

}  // namespace meshplan
