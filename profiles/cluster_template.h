// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/cluster.h"

namespace meshplan {

/// The adapters of a node and the fabric that joins them. Adapter j hangs on PCIe switch j x
/// switches / nics, so that one adapter per device sits beside its device. Every adapter has
/// `width` links.
struct NetworkTemplate {
  LinkSpec link;
  int64_t nics = 1;
  uint32_t width = 1;
  int64_t nodesPerLeaf = 0;     // 0: one non-blocking switch
  double oversubscription = 1;  // bandwidth into a leaf over its bandwidth to the spine
};

/// One server: devices, how they are joined directly, its PCIe tree, its network.
struct NodeTemplate {
  std::string name;
  DeviceSpec device;
  int64_t devices = 1;
  LinkSpec interconnect;           // of NVLink's kind; bandwidth 0: PCIe only
  uint32_t interconnectWidth = 0;  // links from each device to one switch; 0: see `matrix`
  std::vector<std::vector<uint32_t>> matrix;  // links between pairs of devices
  bool multicast = false;
  LinkSpec pcie;
  int64_t devicesPerPcieSwitch = 0;  // 0: devices on the root ports of their socket
  int64_t sockets = 1;
  LinkSpec socketLink;
  NetworkTemplate network;
  double pricePerHour = 0;  // US$ per node
  std::string source;
};

/// `nodes` equal servers (named node0, node1 ... or as given) on one fabric. A single node has no
/// fabric. The devices of a node come in the order of their PCIe switches. Throws Error(input)
/// through Cluster::validate.
Cluster buildCluster(const NodeTemplate& node, const std::vector<std::string>& nodeNames);
Cluster buildCluster(const NodeTemplate& node, int64_t nodes);

}  // namespace meshplan
