// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "backend/communicator.h"

namespace meshplan {

/// What the process of one rank can use. GPUs are told apart by their UUIDs, hosts as in
/// backend/host_id.h; texts are single lines.
struct RankGpus {
  std::string host, hostName;
  std::string problem, remedy;     // why it can use none; empty: it can
  std::vector<std::string> uuids;  // of the GPUs it sees, in CUDA's order
};

/// Every rank calls it; by rank.
std::vector<RankGpus> gatherGpus(Communicator& world, const RankGpus& mine);

/// Which of the GPUs that it sees each rank takes: the first that no lower rank has taken. Where
/// all ranks of a host see all of its GPUs that is the one of their number among them, where each
/// sees one of its own, that one. With `mayShare` ranks share GPUs, equally many each, when there
/// are too few. The same on all ranks, and so is Error(usage) naming the rank that has a problem,
/// or the host with too few GPUs, and what to do.
std::vector<int> chooseGpus(const std::vector<RankGpus>& ranks, bool mayShare);

/// How many ranks chose the GPU that `rank` did.
int ranksOnGpuOf(int rank, const std::vector<RankGpus>& ranks, const std::vector<int>& chosen);

}  // namespace meshplan
