// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/communicator.h"

namespace meshplan {

/// Cores that this process may run on: its affinity, which taskset, mpirun, srun and container
/// limits set.
int availableCores();

/// What the ranks of this host have between them.
struct HostShare {
  int cores = 1;  // that any of them may run on
  int ranks = 1;
  int threads = 1;  // for this rank, so that ranks x threads do not exceed the cores
};

/// Of ranks that are threads of this process.
HostShare shareCores(int threadRanks);
/// Of ranks that are processes: every rank calls it. Hosts are told apart as in backend/host_id.h.
HostShare shareCores(Communicator& world);

}  // namespace meshplan
