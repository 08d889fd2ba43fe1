// SPDX-License-Identifier: Apache-2.0
#include "profiles/cluster_template.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace meshplan {
namespace {

using Vertex = Cluster::Vertex;

struct LinkSpecs {
  uint32_t interconnect = 0, pcie = 0, socket = 0, network = 0, spine = 0;
};

class Builder {
 public:
  Builder(const NodeTemplate& node, const std::vector<std::string>& names)
      : n_(node), names_(names) {}

  Cluster build() {
    device_ = c_.addSpec(n_.device);
    if (n_.interconnect.bandwidth.value > 0) specs_.interconnect = c_.addLinkSpec(n_.interconnect);
    specs_.pcie = c_.addLinkSpec(n_.pcie);
    if (n_.sockets > 1) specs_.socket = c_.addLinkSpec(n_.socketLink);
    if (names_.size() > 1) addFabric();
    for (size_t i = 0; i < names_.size(); ++i) addNode(i);
    c_.multicast = n_.multicast;
    c_.pricePerHour = n_.pricePerHour * static_cast<double>(names_.size());
    c_.validate();
    return std::move(c_);
  }

 private:
  void addFabric() {
    specs_.network = c_.addLinkSpec(n_.network.link);
    const auto nodes = static_cast<int64_t>(names_.size());
    if (n_.network.nodesPerLeaf <= 0 || n_.network.nodesPerLeaf >= nodes) {
      leaves_.push_back(c_.addSwitch("fabric", NodeId()));
      return;
    }
    const int64_t perLeaf = n_.network.nodesPerLeaf;
    LinkSpec up = n_.network.link;
    up.name += "-spine";
    up.bandwidth *= static_cast<double>(perLeaf * n_.network.nics * n_.network.width) /
                    n_.network.oversubscription;
    specs_.spine = c_.addLinkSpec(std::move(up));
    const Vertex spine = c_.addSwitch("spine", NodeId());
    for (int64_t i = 0; i < ceilDiv(nodes, perLeaf); ++i) {
      leaves_.push_back(c_.addSwitch(fmt::format("leaf{}", i), NodeId()));
      c_.addLink(leaves_.back(), spine, specs_.spine);
    }
  }

  Vertex leafOf(size_t node) const {
    return leaves_.size() == 1 ? leaves_[0] : leaves_[node / size_t(n_.network.nodesPerLeaf)];
  }

  void addNode(size_t index) {
    node_ = c_.addNode(names_[index]);
    devices_.clear();
    for (int64_t i = 0; i < n_.devices; ++i)
      devices_.push_back(c_.vertex(c_.addDevice(device_, node_)));
    addInterconnect();
    addPcieTree();
    if (!leaves_.empty()) addAdapters(leafOf(index));
  }

  void addInterconnect() {
    if (n_.interconnectWidth > 0) {
      const Vertex hub = c_.addSwitch("nvswitch", node_);
      for (Vertex d : devices_) c_.addLink(d, hub, specs_.interconnect, n_.interconnectWidth);
      return;
    }
    for (size_t i = 0; i < n_.matrix.size() && i < devices_.size(); ++i)
      for (size_t j = i + 1; j < n_.matrix.size() && j < devices_.size(); ++j)
        if (n_.matrix[i][j] > 0)
          c_.addLink(devices_[i], devices_[j], specs_.interconnect, n_.matrix[i][j]);
  }

  void addPcieTree() {
    std::vector<Vertex> sockets;
    for (int64_t i = 0; i < n_.sockets; ++i)
      sockets.push_back(c_.addSwitch(fmt::format("socket{}", i), node_));
    for (size_t i = 1; i < sockets.size(); ++i) c_.addLink(sockets[0], sockets[i], specs_.socket);
    const int64_t perSwitch = n_.devicesPerPcieSwitch;
    hosts_ = sockets;
    if (perSwitch > 0) {
      hosts_.clear();
      const int64_t count = ceilDiv(n_.devices, perSwitch);
      for (int64_t i = 0; i < count; ++i) {
        hosts_.push_back(c_.addSwitch(fmt::format("pcie{}", i), node_));
        c_.addLink(hosts_.back(), sockets[size_t(i * n_.sockets / count)], specs_.pcie);
      }
    }
    for (size_t i = 0; i < devices_.size(); ++i)
      c_.addLink(devices_[i], hosts_[share(i, devices_.size())], specs_.pcie);
  }

  // Devices and adapters are dealt to the PCIe switches in equal runs.
  size_t share(size_t i, size_t of) const {
    return n_.devicesPerPcieSwitch > 0 && of == devices_.size()
               ? i / size_t(n_.devicesPerPcieSwitch)
               : i * hosts_.size() / of;
  }

  void addAdapters(Vertex leaf) {
    const auto count = static_cast<size_t>(n_.network.nics);
    for (size_t i = 0; i < count; ++i) {
      const Vertex nic = c_.addSwitch(fmt::format("nic{}", i), node_);
      c_.addLink(nic, hosts_[share(i, count)], specs_.pcie);
      c_.addLink(nic, leaf, specs_.network, n_.network.width);
    }
  }

  const NodeTemplate& n_;
  const std::vector<std::string>& names_;
  Cluster c_;
  LinkSpecs specs_;
  uint32_t device_ = 0;
  NodeId node_;
  std::vector<Vertex> leaves_, devices_, hosts_;
};

}  // namespace

Cluster buildCluster(const NodeTemplate& node, const std::vector<std::string>& nodeNames) {
  return Builder(node, nodeNames).build();
}

Cluster buildCluster(const NodeTemplate& node, int64_t nodes) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < nodes; ++i) names.push_back(fmt::format("node{}", i));
  return buildCluster(node, names);
}

}  // namespace meshplan
