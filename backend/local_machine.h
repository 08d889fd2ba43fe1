// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/cluster.h"
#include "profiles/measurement.h"

namespace meshplan {

/// This host as the ranks of its processor see it: `ranks` of them with `threads` threads each.
struct LocalRanks {
  int cores = 1, ranks = 1, threads = 1;

  int atOnce() const { return cores / threads < 1 ? 1 : cores / threads; }
};

/// The threads that `meshplan run` gives so many ranks: those of backend/cores.h.
LocalRanks localRanks(int ranks);

/// The processor by its model and the threads of a rank ("AMD-EPYC-1t"), the host's cores and
/// caches, and the versions of the libraries that compute.
Environment localEnvironment(const LocalRanks& ranks);

/// One rank's share of the host while all of its cores are busy, measured: what a large matrix
/// product (fp32, fp64, bf16) and a copy of memory reach. Takes about a second.
DeviceSpec measureLocalDevice(const LocalRanks& ranks);

/// Of the host.
Bytes physicalMemory();

/// Devices of one node that share its cores (0: each has its own) and memory, joined by `link`.
Cluster localCluster(const LocalRanks& ranks, const DeviceSpec& device, const LinkSpec& link);

}  // namespace meshplan
