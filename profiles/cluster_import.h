// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "profiles/catalog.h"

namespace meshplan {

/// Readers of what clusters already have lying around. All throw Error; the caller adds the file's
/// name.

/// The text of `nvidia-smi topo -m`, with colours or without: one node whose devices are joined as
/// its matrix says: NV# by that many NVLinks (through a switch when all pairs say the same), PIX
/// and PXB under one PCIe switch, PHB and NODE under one socket, SYS between sockets. NIC columns
/// become adapters. The kind of device is `device`, or what an `nvidia-smi -L` or `--query-gpu=name
/// --format=csv` before the matrix says.
Cluster clusterFromTopology(const Catalog& catalog, const std::string& text,
                            const std::string& device);
bool isTopology(const std::string& text);

/// A hostfile of DeepSpeed or Open MPI ("worker-1 slots=8") or MPICH ("worker-1:8"): one line per
/// node, '#' starts a comment. All nodes must have equal slots.
Cluster clusterFromHostfile(const Catalog& catalog, const std::string& text,
                            const std::string& device);

/// "n[01-04,07],gpu5x8xA100-SXM-80GB": SLURM's node list, devices per node, kind of device; then
/// ":NETWORK" as in a preset.
Cluster clusterFromSlurm(const Catalog& catalog, const std::string& text);

}  // namespace meshplan
