// SPDX-License-Identifier: Apache-2.0
#include "core/cluster.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/connected_components.hpp>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "core/route.h"

namespace meshplan {
namespace {

struct LinkKindRow {
  LinkKind kind;
  std::string_view name;
  bool network;
};

constexpr std::array<LinkKindRow, 8> kLinkKinds{{{LinkKind::nvlink, "nvlink", false},
                                                 {LinkKind::nvswitch, "nvswitch", false},
                                                 {LinkKind::pcie, "pcie", false},
                                                 {LinkKind::xgmi, "xgmi", false},
                                                 {LinkKind::infiniband, "infiniband", true},
                                                 {LinkKind::roce, "roce", true},
                                                 {LinkKind::ethernet, "ethernet", true},
                                                 {LinkKind::memory, "memory", false}}};

struct VertexData {
  NodeId node;
  DeviceId device;
  std::string name;
};

struct NodeData {
  std::string name;
  std::vector<DeviceId> devices;
  std::vector<LinkId> links;
};

bool positive(double x) {
  return std::isfinite(x) && x > 0;
}

[[noreturn]] void reject(const std::string& place, const std::string& problem,
                         const std::string& remedy) {
  throw Error(ErrorKind::input, problem, remedy).at(place);
}

void validateSpec(const DeviceSpec& s) {
  const std::string place = "device '" + s.name + "'";
  if (s.memory.value <= 0)
    reject(place, "its memory is not positive", "give its memory in bytes, above 0");
  if (!positive(s.memoryBandwidth.value))
    reject(place, "its memory bandwidth is not positive and finite", "give it in bytes/s, above 0");
  if (!positive(s.vectorPeak.value))
    reject(place, "its vector peak is not positive and finite", "give it in FLOP/s, above 0");
  for (const auto& [dtype, peak] : s.matrixPeak)
    if (!positive(peak.value))
      reject(place, fmt::format("its {} peak is not positive and finite", dtypeName(dtype)),
             "give it in FLOP/s, above 0");
  if (s.multiprocessors <= 0) reject(place, "it has no multiprocessors", "give 1 or more");
}

void validateLinkSpec(const LinkSpec& s) {
  const std::string place = "link '" + s.name + "'";
  if (!positive(s.bandwidth.value))
    reject(place, "its bandwidth is not positive and finite", "give it in bytes/s, above 0");
  if (!std::isfinite(s.latency.value) || s.latency.value < 0)
    reject(place, "its latency is negative or not finite", "give it in seconds, 0 or more");
}

LinkId directLink(const std::vector<RouteEdge>& edges, uint32_t a, uint32_t b) {
  const RouteEdge* widest = nullptr;
  for (const RouteEdge& e : edges)
    if ((e.a == a && e.b == b) || (e.a == b && e.b == a))
      if (!widest || e.bandwidth > widest->bandwidth) widest = &e;
  return widest ? widest->link : LinkId();
}

}  // namespace

std::string_view linkKindName(LinkKind k) {
  return kLinkKinds[static_cast<size_t>(k)].name;
}
bool isNetwork(LinkKind k) {
  return kLinkKinds[static_cast<size_t>(k)].network;
}

LinkKind parseLinkKind(std::string_view name) {
  std::string known;
  for (const LinkKindRow& r : kLinkKinds) {
    if (r.name == name) return r.kind;
    known += (known.empty() ? "" : ", ") + std::string(r.name);
  }
  throw Error(ErrorKind::usage, fmt::format("unknown link kind '{}'", name), "one of " + known);
}

struct Cluster::Topology {
  using Graph =
      boost::adjacency_list<boost::vecS, boost::vecS, boost::undirectedS, VertexData, LinkId>;
  Graph graph;
  std::vector<DeviceSpec> specs;
  std::vector<LinkSpec> linkSpecs;
  std::vector<Device> devices;
  std::vector<Vertex> deviceVertices;
  std::vector<NodeData> nodes;
  std::vector<Link> links;
  std::vector<LinkId> outsideLinks;

  RouteEdge edge(LinkId id) const {
    const Link& l = links[id.index()];
    const LinkSpec& s = linkSpecs[l.spec];
    const int ends = graph[l.a].device.valid() + graph[l.b].device.valid();
    return {l.a, l.b, s.bandwidth.value * l.width, s.latency.value, ends, id};
  }
  void append(std::vector<RouteEdge>& edges, const std::vector<LinkId>& ids) const {
    for (LinkId id : ids) edges.push_back(edge(id));
  }
  std::vector<RouteEdge> inside(NodeId n) const {
    std::vector<RouteEdge> edges;
    for (LinkId id : nodes[n.index()].links) {
      const Link& l = links[id.index()];
      if (graph[l.a].node == graph[l.b].node) edges.push_back(edge(id));
    }
    return edges;
  }
};

Cluster::Cluster() : topology_(std::make_unique<Topology>()) {}
Cluster::~Cluster() = default;
Cluster::Cluster(const Cluster& o)
    : name(o.name),
      source(o.source),
      pricePerHour(o.pricePerHour),
      coresPerNode(o.coresPerNode),
      multicast(o.multicast),
      topology_(std::make_unique<Topology>(*o.topology_)) {}
Cluster::Cluster(Cluster&&) noexcept = default;
Cluster& Cluster::operator=(Cluster o) {
  std::swap(name, o.name);
  std::swap(source, o.source);
  std::swap(pricePerHour, o.pricePerHour);
  std::swap(coresPerNode, o.coresPerNode);
  std::swap(multicast, o.multicast);
  std::swap(topology_, o.topology_);
  return *this;
}

uint32_t Cluster::addSpec(DeviceSpec spec) {
  topology_->specs.push_back(std::move(spec));
  return static_cast<uint32_t>(topology_->specs.size() - 1);
}

NodeId Cluster::addNode(std::string nodeName) {
  topology_->nodes.push_back({std::move(nodeName), {}, {}});
  return NodeId(topology_->nodes.size() - 1);
}

DeviceId Cluster::addDevice(uint32_t spec, NodeId node) {
  const DeviceId id(topology_->devices.size());
  topology_->devices.push_back({spec, node});
  topology_->nodes[node.index()].devices.push_back(id);
  topology_->deviceVertices.push_back(
      static_cast<Vertex>(boost::add_vertex({node, id, {}}, topology_->graph)));
  return id;
}

Cluster::Vertex Cluster::addSwitch(std::string switchName, NodeId node) {
  return static_cast<Vertex>(
      boost::add_vertex({node, DeviceId(), std::move(switchName)}, topology_->graph));
}

uint32_t Cluster::addLinkSpec(LinkSpec spec) {
  topology_->linkSpecs.push_back(std::move(spec));
  return static_cast<uint32_t>(topology_->linkSpecs.size() - 1);
}

LinkId Cluster::addLink(Vertex a, Vertex b, uint32_t linkSpec, uint32_t width) {
  const LinkId id(topology_->links.size());
  topology_->links.push_back({linkSpec, width, a, b});
  boost::add_edge(a, b, id, topology_->graph);
  const NodeId na = nodeOf(a), nb = nodeOf(b);
  if (na.valid()) topology_->nodes[na.index()].links.push_back(id);
  if (nb.valid() && nb != na) topology_->nodes[nb.index()].links.push_back(id);
  if (!na.valid() && !nb.valid()) topology_->outsideLinks.push_back(id);
  return id;
}

void Cluster::replaceSpec(uint32_t index, DeviceSpec spec) {
  topology_->specs.at(index) = std::move(spec);
}

void Cluster::replaceLinkSpec(uint32_t index, LinkSpec spec) {
  topology_->linkSpecs.at(index) = std::move(spec);
}

Cluster::Vertex Cluster::vertex(DeviceId d) const {
  return topology_->deviceVertices[d.index()];
}
size_t Cluster::vertexCount() const {
  return boost::num_vertices(topology_->graph);
}
NodeId Cluster::nodeOf(Vertex v) const {
  return topology_->graph[v].node;
}
DeviceId Cluster::deviceAt(Vertex v) const {
  return topology_->graph[v].device;
}
const std::string& Cluster::vertexName(Vertex v) const {
  return topology_->graph[v].name;
}
const std::vector<DeviceSpec>& Cluster::specs() const {
  return topology_->specs;
}
const std::vector<Device>& Cluster::devices() const {
  return topology_->devices;
}
const std::vector<LinkSpec>& Cluster::linkSpecs() const {
  return topology_->linkSpecs;
}
const std::vector<Link>& Cluster::links() const {
  return topology_->links;
}
const std::vector<LinkId>& Cluster::outsideLinks() const {
  return topology_->outsideLinks;
}
size_t Cluster::nodeCount() const {
  return topology_->nodes.size();
}
const std::string& Cluster::nodeName(NodeId n) const {
  return topology_->nodes[n.index()].name;
}

const std::vector<LinkId>& Cluster::linksOf(NodeId n) const {
  return topology_->nodes[n.index()].links;
}

const std::vector<DeviceId>& Cluster::devicesOf(NodeId n) const {
  return topology_->nodes[n.index()].devices;
}

int64_t Cluster::devicesPerNode() const {
  int64_t least = 0;
  for (const NodeData& n : topology_->nodes) {
    const auto count = static_cast<int64_t>(n.devices.size());
    if (count > 0 && (least == 0 || count < least)) least = count;
  }
  return least;
}

std::vector<LinkId> Cluster::route(DeviceId from, DeviceId to) const {
  if (from == to) return {};
  const Topology& t = *topology_;
  const Vertex a = vertex(from), b = vertex(to);
  const NodeId na = t.devices[from.index()].node, nb = t.devices[to.index()].node;
  std::vector<LinkId> path;
  std::vector<RouteEdge> edges;
  if (na == nb) {
    edges = t.inside(na);
    if (const LinkId direct = directLink(edges, a, b); direct.valid()) return {direct};
    path = widestRoute(edges, a, b, from.index());
    if (!path.empty()) return path;
  }
  edges.clear();
  t.append(edges, t.nodes[na.index()].links);
  if (na != nb) t.append(edges, t.nodes[nb.index()].links);
  t.append(edges, t.outsideLinks);
  path = widestRoute(edges, a, b, from.index());
  if (!path.empty()) return path;
  edges.clear();
  for (size_t i = 0; i < t.links.size(); ++i) edges.push_back(t.edge(LinkId(i)));
  path = widestRoute(edges, a, b, from.index());
  if (path.empty())
    reject(name.empty() ? "cluster" : name,
           fmt::format("device {} cannot reach device {}", from.index(), to.index()),
           "join them by links");
  return path;
}

void Cluster::validate() const {
  const Topology& t = *topology_;
  if (t.devices.empty()) reject(name, "the cluster has no devices", "give it at least one device");
  for (const DeviceSpec& s : t.specs) validateSpec(s);
  for (const LinkSpec& s : t.linkSpecs) validateLinkSpec(s);
  for (const Link& l : t.links)
    if (l.width == 0)
      reject("link '" + t.linkSpecs[l.spec].name + "'", "its width is 0", "give 1 or more");
  std::vector<int> component(boost::num_vertices(t.graph));
  boost::connected_components(t.graph, component.data());
  for (size_t d = 1; d < t.devices.size(); ++d)
    if (component[t.deviceVertices[d]] != component[t.deviceVertices[0]])
      reject(fmt::format("device {} in node '{}'", d, nodeName(t.devices[d].node)),
             "no path leads to it from device 0", "join its node to the others by links");
}

}  // namespace meshplan
