// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/tensor.h"
#include "core/units.h"

namespace meshplan {

/// A physical parameter with where it comes from: a datasheet, a paper, or a fit that anyone can
/// rerun.
struct Parameter {
  double value = 0;
  double uncertainty = 0;  // one standard deviation, relative; 0: a datasheet figure
  std::string source;
};

/// One kind of accelerator (or CPU). Peaks are dense (no sparsity), per device. `parameters` are
/// the few physical constants of the cost model, by the names that docs/cost_model.md defines; a
/// missing one falls back to the generation's default there.
struct DeviceSpec {
  std::string name;          // catalogue key, "A100-SXM-80GB"
  std::string architecture;  // "volta", "ampere", "ada", "hopper", "blackwell", "turing", "cpu"
  Bytes memory;
  BytesPerSecond memoryBandwidth;
  std::map<DType, FlopsPerSecond>
      matrixPeak;             // by compute dtype (tensor cores where there are any)
  FlopsPerSecond vectorPeak;  // fp32 without tensor cores
  int multiprocessors = 1;
  Bytes l2;
  double pricePerHour = 0;  // US$ per device, 0: unknown
  std::map<std::string, Parameter> parameters;
  std::string source;  // the datasheet
};

enum class LinkKind : uint8_t { nvlink, nvswitch, pcie, xgmi, infiniband, roce, ethernet, memory };
std::string_view linkKindName(LinkKind k);
/// Throws Error(usage) naming the known kinds.
LinkKind parseLinkKind(std::string_view name);
/// Leaves the node: infiniband, roce, ethernet.
bool isNetwork(LinkKind k);

/// One kind of physical connection, direction-symmetric: `bandwidth` holds in each direction at
/// once.
struct LinkSpec {
  std::string name;  // catalogue key, "nvlink3"
  LinkKind kind = LinkKind::pcie;
  BytesPerSecond bandwidth;
  Seconds latency;
  std::map<std::string, Parameter>
      parameters;      // fitted efficiency and protocol constants, see docs/cost_model.md
  std::string source;  // the datasheet
};

/// An edge of the topology: `width` equal links between two vertices that act as one (the 12
/// NVLinks from an A100 to its NVSwitches).
struct Link {
  uint32_t spec = 0;  // index into Cluster::linkSpecs()
  uint32_t width = 1;
  uint32_t a = 0, b = 0;  // vertices
};

struct Device {
  uint32_t spec = 0;  // index into Cluster::specs()
  NodeId node;
};

/// The machines: devices, switches and NICs joined by links (a Boost.Graph inside), grouped into
/// nodes. Immutable once built. Copyable.
class Cluster {
 public:
  /// A vertex of the topology; devices are vertices too.
  using Vertex = uint32_t;

  Cluster();
  ~Cluster();
  Cluster(const Cluster&);
  Cluster(Cluster&&) noexcept;
  Cluster& operator=(Cluster);

  std::string name;
  std::string source;       // preset or file, as the user gave it
  double pricePerHour = 0;  // US$ for the whole cluster, 0: unknown
  /// Cores that the ranks of a node share (DeviceSpec::multiprocessors of them each, if there are
  /// enough); 0: every device has its own.
  int64_t coresPerNode = 0;
  bool multicast = false;  // switches reduce and multicast in-network inside a node (NVLS)

  uint32_t addSpec(DeviceSpec spec);
  NodeId addNode(std::string nodeName);
  DeviceId addDevice(uint32_t spec, NodeId node);
  Vertex addSwitch(std::string switchName,
                   NodeId node);  // invalid node: outside every node (a leaf or a spine)
  uint32_t addLinkSpec(LinkSpec spec);
  LinkId addLink(Vertex a, Vertex b, uint32_t linkSpec, uint32_t width = 1);

  /// The same topology of other parts.
  void replaceSpec(uint32_t index, DeviceSpec spec);
  void replaceLinkSpec(uint32_t index, LinkSpec spec);

  Vertex vertex(DeviceId d) const;
  size_t vertexCount() const;
  NodeId nodeOf(Vertex v) const;                  // invalid: outside every node
  DeviceId deviceAt(Vertex v) const;              // invalid: a switch
  const std::string& vertexName(Vertex v) const;  // empty for devices

  const std::vector<DeviceSpec>& specs() const;
  const std::vector<Device>& devices() const;
  const DeviceSpec& spec(DeviceId d) const { return specs()[devices()[d.index()].spec]; }
  const std::vector<LinkSpec>& linkSpecs() const;
  const std::vector<Link>& links() const;
  const LinkSpec& linkSpec(LinkId l) const { return linkSpecs()[links()[l.index()].spec]; }
  BytesPerSecond bandwidth(LinkId l) const {
    return linkSpec(l).bandwidth * double(links()[l.index()].width);
  }
  /// Links with at least one end in the node; links with both ends outside every node.
  const std::vector<LinkId>& linksOf(NodeId n) const;
  const std::vector<LinkId>& outsideLinks() const;
  size_t deviceCount() const { return devices().size(); }
  size_t nodeCount() const;
  const std::string& nodeName(NodeId n) const;
  const std::vector<DeviceId>& devicesOf(NodeId n) const;
  /// Devices of the smallest node; the size that "within a node" means.
  int64_t devicesPerNode() const;
  bool homogeneous() const { return specs().size() <= 1; }

  /// Links on the path that traffic takes, in order: the link that joins the two devices if there
  /// is one, else of the widest paths the one through the fewest devices, then of least latency,
  /// then of fewest links. Traffic inside a node stays there where it can, and no path crosses a
  /// third node unless there is no other. Of several equal paths each source takes one in turn, as
  /// static routing does. Throws Error(input) when unreachable.
  std::vector<LinkId> route(DeviceId from, DeviceId to) const;

  /// Throws Error(input): no devices, an unreachable device, a bandwidth or memory that is not
  /// positive and finite.
  void validate() const;

 private:
  struct Topology;
  std::unique_ptr<Topology> topology_;
};

}  // namespace meshplan
