// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/cluster.h"

namespace meshplan {

/// A cluster from what a user types:
///   8xH100-SXM, 2x8xA100-SXM-80GB    devices, or nodes x devices, of the catalogue
///   dgx-h100, 16xdgx-a100            reference nodes and cloud instances
///   128x8xA100-SXM-80GB:ndr          ... with another network: a link of the catalogue
///   ("infiniband-" may be left
///                                    out), 4xroce-100g for four adapters, 100GB/s or 800Gb/s per
///                                    node
///   slurm:n[01-04,07]x8xA100-SXM     a SLURM node list
///   PATH                             a JSON cluster file, the text of `nvidia-smi topo -m`, or a
///   hostfile of
///                                    DeepSpeed or MPI ("worker-1 slots=8"); the latter two need
///                                    `device`, unless the file tells it itself
/// More devices than the reference node of a device holds are spread over several of these nodes.
/// Throws Error(usage) with the nearest names for an unknown name, Error(input) naming file and
/// place for a bad file.
Cluster loadCluster(const std::string& text, const std::string& device = {});

/// What `loadCluster` understands, by catalogue order: the names of nodes and of devices.
std::vector<std::string> catalogNodeNames();
std::vector<std::string> catalogDeviceNames();

}  // namespace meshplan
