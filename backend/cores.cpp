// SPDX-License-Identifier: Apache-2.0
#include "backend/cores.h"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "backend/host_id.h"

namespace meshplan {
namespace {

struct HostCores {
  char host[64] = {};
  cpu_set_t cores{};
};

cpu_set_t affinity() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return cores;
  const auto count = std::min<unsigned>(std::thread::hardware_concurrency(), CPU_SETSIZE);
  for (unsigned i = 0; i < std::max(count, 1u); ++i) CPU_SET(i, &cores);
  return cores;
}

HostCores thisHost() {
  HostCores mine;
  mine.cores = affinity();
  hostId().copy(mine.host, sizeof mine.host - 1);
  return mine;
}

}  // namespace

int availableCores() {
  const cpu_set_t cores = affinity();
  return std::max(CPU_COUNT(&cores), 1);
}

HostShare shareCores(int threadRanks) {
  const int cores = availableCores();
  return {cores, threadRanks, std::max(1, cores / threadRanks)};
}

HostShare shareCores(Communicator& world) {
  const HostCores mine = thisHost();
  std::vector<HostCores> all(static_cast<size_t>(world.size()));
  world.allGather(&mine, all.data(), sizeof mine);
  cpu_set_t together;
  CPU_ZERO(&together);
  HostShare share{.cores = 1, .ranks = 0, .threads = 1};
  for (const HostCores& other : all) {
    if (std::strncmp(other.host, mine.host, sizeof mine.host) != 0) continue;
    CPU_OR(&together, &together, &other.cores);
    ++share.ranks;
  }
  share.cores = std::max(CPU_COUNT(&together), 1);
  share.threads = std::max(1, std::min(availableCores(), share.cores / share.ranks));
  return share;
}

}  // namespace meshplan
