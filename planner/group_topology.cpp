// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "planner/cost_model.h"
#include "planner/ring_packing.h"

namespace meshplan {
namespace {

constexpr uint32_t kNone = UINT32_MAX;
// What is left of a path that a device forwards: device 4 of a hybrid cube mesh in a ring with 0 to
// 3 gets 0.82 of its two links (vTrain, trace/v100/AR_GPU5).
constexpr double kRelayEfficiency = 0.82;
constexpr uint32_t kChoices = 64;  // sources that may take different ones of equal paths

// The ranks of one group on one node, in rank order.
struct Segment {
  uint32_t node = 0;
  std::vector<uint32_t> ranks;
};

struct Hop {
  LinkId link;
  bool forward;
};

struct Share {  // the narrowest place of some flows
  double bandwidth = 1e30;
  LinkId link;
  double latency = 0;
};

class Describer {
 public:
  Describer(const Cluster& cluster, const DeviceMesh& mesh, MeshAxes axes)
      : c_(cluster), mesh_(mesh), axes_(axes), ranks_(uint32_t(mesh.shape().ranks())) {}

  GroupTopology describe() {
    GroupTopology out;
    out.ranks = mesh_.shape().size(axes_);
    out.device = &c_.spec(mesh_.device(0));
    if (out.ranks <= 1) return out;
    formGroups();
    Share intra, inter;
    for (uint32_t node : sampleNodes()) {
      examineInside(node, intra);
      examineAcross(node, inter);
    }
    out.nodes = mostNodes_;
    out.ranksPerNode = mostPerNode_;
    for (const auto& groups : inside_) out.groups = std::max(out.groups, int64_t(groups.size()));
    out.concurrent = out.nodes > 1 && out.ranksPerNode < c_.devicesPerNode();
    if (intra.link.valid()) setIntra(out, intra);
    if (inter.link.valid()) setInter(out, inter);
    return out;
  }

 private:
  // ---- who talks to whom

  uint32_t nodeOf(uint32_t rank) const {
    return c_.devices()[mesh_.device(rank).index()].node.value;
  }

  std::vector<uint32_t> groupIds() const {
    std::vector<uint32_t> ids(ranks_);
    int64_t stride = 1, idStride = 1;
    for (MeshAxis a : {MeshAxis::tensor, MeshAxis::expert, MeshAxis::data, MeshAxis::pipeline}) {
      const int64_t n = mesh_.shape().size(a);
      if (!axes_.has(a)) {
        for (uint32_t r = 0; r < ranks_; ++r) ids[r] += uint32_t(r / stride % n * idStride);
        idStride *= n;
      }
      stride *= n;
    }
    return ids;
  }

  void formGroups() {
    const std::vector<uint32_t> ids = groupIds();
    std::vector<std::vector<Segment>> groups(size_t(ranks_ / mesh_.shape().size(axes_)));
    for (uint32_t r = 0; r < ranks_; ++r) {
      std::vector<Segment>& g = groups[ids[r]];
      const uint32_t node = nodeOf(r);
      auto at =
          !g.empty() && g.back().node == node
              ? g.end() - 1
              : std::find_if(g.begin(), g.end(), [&](const Segment& s) { return s.node == node; });
      if (at == g.end()) at = g.insert(g.end(), {node, {}});
      at->ranks.push_back(r);
    }
    next_.assign(ranks_, kNone);
    inside_.resize(c_.nodeCount());
    arriving_.resize(c_.nodeCount());
    for (std::vector<Segment>& g : groups) linkSegments(g);
  }

  // Each rank of a node sends to the one in the same place on the next node of the ring.
  void linkSegments(std::vector<Segment>& g) {
    mostNodes_ = std::max(mostNodes_, int64_t(g.size()));
    for (size_t i = 0; i < g.size(); ++i) {
      mostPerNode_ = std::max(mostPerNode_, int64_t(g[i].ranks.size()));
      const Segment& to = g[(i + 1) % g.size()];
      for (size_t k = 0; g.size() > 1 && k < g[i].ranks.size(); ++k) {
        next_[g[i].ranks[k]] = to.ranks[k % to.ranks.size()];
        arriving_[to.node].push_back(g[i].ranks[k]);
      }
    }
    for (Segment& s : g) inside_[s.node].push_back(std::move(s.ranks));
  }

  // ---- equal nodes are examined once

  uint32_t nodeClass(uint32_t node) {
    if (classOf_.empty()) classOf_.assign(c_.nodeCount(), kNone);
    if (classOf_[node] != kNone) return classOf_[node];
    std::vector<uint32_t> content;
    for (LinkId id : c_.linksOf(NodeId(node))) {
      const Link& l = c_.links()[id.index()];
      content.insert(content.end(), {l.spec, l.width, place(l.a, node), place(l.b, node)});
    }
    return classOf_[node] =
               classes_.try_emplace(std::move(content), uint32_t(classes_.size())).first->second;
  }

  // A vertex by its place in its node; a switch outside as itself.
  uint32_t place(uint32_t v, uint32_t node) const {
    if (c_.nodeOf(v) != NodeId(node)) return v | 0x80000000u;
    return v - c_.vertex(c_.devicesOf(NodeId(node)).front());
  }

  uint32_t local(uint32_t rank) const {
    const DeviceId d = mesh_.device(rank);
    return d.value - c_.devicesOf(c_.devices()[d.index()].node).front().value;
  }

  std::vector<uint32_t> sampleNodes() {
    std::map<std::vector<uint32_t>, uint32_t> samples;
    std::vector<uint32_t> signature;
    for (uint32_t node = 0; node < c_.nodeCount(); ++node) {
      if (inside_[node].empty()) continue;
      signature.assign(1, c_.outsideLinks().empty() ? nodeClass(node) : typeOf(node));
      for (const std::vector<uint32_t>& ranks : inside_[node]) {
        signature.push_back(uint32_t(ranks.size()) | 0x40000000u);
        for (uint32_t r : ranks) {
          signature.push_back(local(r));
          signature.push_back(next_[r] == kNone ? 0 : leavesSwitch(node, nodeOf(next_[r])) ? 2 : 1);
        }
      }
      samples.try_emplace(signature, node);
    }
    std::vector<uint32_t> nodes;
    for (const auto& [unused, node] : samples) nodes.push_back(node);
    return nodes;
  }

  // The class without the names of the switches it hangs on.
  uint32_t typeOf(uint32_t node) const { return uint32_t(c_.linksOf(NodeId(node)).size()); }

  bool leavesSwitch(uint32_t a, uint32_t b) {
    return !c_.outsideLinks().empty() && switchOf(a) != switchOf(b);
  }

  uint32_t switchOf(uint32_t node) const {
    for (LinkId id : c_.linksOf(NodeId(node))) {
      const Link& l = c_.links()[id.index()];
      if (!c_.nodeOf(l.a).valid()) return l.a;
      if (!c_.nodeOf(l.b).valid()) return l.b;
    }
    return kNone;
  }

  // ---- flows on links

  std::vector<Hop> directed(const std::vector<LinkId>& path, DeviceId from) const {
    std::vector<Hop> hops;
    uint32_t at = c_.vertex(from);
    for (LinkId id : path) {
      const Link& l = c_.links()[id.index()];
      hops.push_back({id, l.a == at});
      at = l.a == at ? l.b : l.a;
    }
    return hops;
  }

  // Routes between nodes of equal classes are the same up to the nodes' names.
  std::vector<Hop> path(uint32_t from, uint32_t to) {
    const uint32_t na = nodeOf(from), nb = nodeOf(to);
    const uint32_t choice = c_.outsideLinks().empty() ? 0 : mesh_.device(from).value % kChoices;
    const auto key =
        std::make_tuple(nodeClass(na), nodeClass(nb), local(from), local(to), choice, na == nb);
    auto it = paths_.find(key);
    if (it == paths_.end()) {
      const std::vector<Hop> hops =
          directed(c_.route(mesh_.device(from), mesh_.device(to)), mesh_.device(from));
      std::vector<PlacedHop> placed;
      for (const Hop& h : hops) placed.push_back(placeHop(h, na, nb));
      it = paths_.emplace(key, std::move(placed)).first;
    }
    std::vector<Hop> hops;
    for (const PlacedHop& h : it->second) {
      const LinkId id = h.where == 0   ? c_.linksOf(NodeId(na))[h.index]
                        : h.where == 1 ? c_.linksOf(NodeId(nb))[h.index]
                                       : LinkId(h.index);
      hops.push_back({id, h.forward});
    }
    return hops;
  }

  struct PlacedHop {
    int where;  // 0: in the sender's node, 1: in the receiver's, 2: elsewhere
    uint32_t index;
    bool forward;
  };

  PlacedHop placeHop(const Hop& h, uint32_t na, uint32_t nb) const {
    int where = 0;
    for (uint32_t node : {na, nb}) {
      const std::vector<LinkId>& links = c_.linksOf(NodeId(node));
      const auto it = std::lower_bound(links.begin(), links.end(), h.link);
      if (it != links.end() && *it == h.link)
        return {where, uint32_t(it - links.begin()), h.forward};
      ++where;
    }
    return {2, h.link.value, h.forward};
  }

  class Load {
   public:
    void add(const std::vector<Hop>& hops) {
      for (const Hop& h : hops) ++flows_[key(h)];
    }
    double of(const Hop& h) const {
      const auto it = flows_.find(key(h));
      return it == flows_.end() ? 1 : it->second;
    }

   private:
    static uint64_t key(const Hop& h) { return uint64_t(h.link.value) * 2 + h.forward; }
    std::unordered_map<uint64_t, uint32_t> flows_;
  };

  // `factor`: how many such flows serve one rank.
  void narrow(Share& share, const std::vector<Hop>& hops, const Load& load, double factor,
              bool network) const {
    double least = 1e30, latency = 0, networkLeast = 1e30;
    LinkId limiting, networkLink;
    for (const Hop& h : hops) {
      const double bandwidth = c_.bandwidth(h.link).value / load.of(h) * factor;
      latency += c_.linkSpec(h.link).latency.value;
      if (bandwidth < least) least = bandwidth, limiting = h.link;
      if (isNetwork(c_.linkSpec(h.link).kind) && bandwidth < networkLeast)
        networkLeast = bandwidth, networkLink = h.link;
    }
    share.latency = std::max(share.latency, latency);
    if (!network && relayed(hops)) least *= kRelayEfficiency;
    if (least >= share.bandwidth) return;
    share.bandwidth = least;
    share.link = network && networkLink.valid() ? networkLink : limiting;
  }

  bool relayed(const std::vector<Hop>& hops) const {
    for (size_t i = 0; i + 1 < hops.size(); ++i) {
      const Link& l = c_.links()[hops[i].link.index()];
      if (c_.deviceAt(hops[i].forward ? l.b : l.a).valid()) return true;
    }
    return false;
  }

  // ---- inside a node

  // The direct links between the devices of some ranks, and one of them.
  std::vector<std::vector<uint32_t>> directLinks(uint32_t node, const std::vector<uint32_t>& ranks,
                                                 LinkId& any) const {
    std::unordered_map<uint32_t, size_t> at;
    for (size_t i = 0; i < ranks.size(); ++i) at[c_.vertex(mesh_.device(ranks[i]))] = i;
    std::vector<std::vector<uint32_t>> width(ranks.size(), std::vector<uint32_t>(ranks.size()));
    for (LinkId id : c_.linksOf(NodeId(node))) {
      const Link& l = c_.links()[id.index()];
      const auto a = at.find(l.a), b = at.find(l.b);
      if (a == at.end() || b == at.end()) continue;
      any = id;
      width[a->second][b->second] += l.width;
      width[b->second][a->second] += l.width;
    }
    return width;
  }

  void examineInside(uint32_t node, Share& share) {
    std::vector<const std::vector<uint32_t>*> routed;
    for (const std::vector<uint32_t>& ranks : inside_[node]) {
      if (ranks.size() < 2) continue;
      LinkId link;
      const auto width = directLinks(node, ranks, link);
      const int64_t rings = link.valid() ? packRings(width) : 0;
      if (rings == 0) {
        routed.push_back(&ranks);
        continue;
      }
      const double directions = ranks.size() > 2 ? 2 : 1;
      const LinkSpec& spec = c_.linkSpec(link);
      share.latency = std::max(share.latency, spec.latency.value);
      if (const double b = spec.bandwidth.value * double(rings) * directions; b < share.bandwidth)
        share.bandwidth = b, share.link = link;
    }
    examineRouted(routed, share);
  }

  // One ring in each direction through the devices in rank order.
  void examineRouted(const std::vector<const std::vector<uint32_t>*>& groups, Share& share) {
    Load load;
    std::vector<std::vector<Hop>> paths;
    for (const std::vector<uint32_t>* ranks : groups)
      for (size_t i = 0; i < ranks->size(); ++i) {
        const uint32_t a = (*ranks)[i], b = (*ranks)[(i + 1) % ranks->size()];
        paths.push_back(path(a, b));
        paths.push_back(path(b, a));
      }
    for (const std::vector<Hop>& p : paths) load.add(p);
    for (const std::vector<Hop>& p : paths) narrow(share, p, load, 2, false);
  }

  // ---- between nodes

  // Nodes whose flows share a switch with `node`'s: their sum loads that switch's links to others.
  std::vector<uint32_t> neighbours(uint32_t node) {
    if (c_.outsideLinks().empty()) return {node};
    std::vector<uint32_t> out;
    for (uint32_t n = 0; n < c_.nodeCount(); ++n)
      if (switchOf(n) == switchOf(node)) out.push_back(n);
    return out;
  }

  void examineAcross(uint32_t node, Share& share) {
    if (mostNodes_ < 2) return;
    Load load;
    std::vector<std::pair<uint32_t, uint32_t>> flows;
    std::vector<bool> counted(c_.nodeCount());
    const std::vector<uint32_t> near = neighbours(node);
    for (uint32_t n : near) {
      counted[n] = true;
      for (const std::vector<uint32_t>& ranks : inside_[n])
        for (uint32_t r : ranks)
          if (next_[r] != kNone) flows.push_back({r, next_[r]});
    }
    for (uint32_t n : near)
      for (uint32_t r : arriving_[n])
        if (!counted[nodeOf(r)]) flows.push_back({r, next_[r]});
    std::vector<std::vector<Hop>> paths;
    for (const auto& [from, to] : flows) load.add(paths.emplace_back(path(from, to)));
    for (const std::vector<Hop>& p : paths) narrow(share, p, load, 1, true);
  }

  // ---- answer

  void setIntra(GroupTopology& out, const Share& s) const {
    out.intraLink = &c_.linkSpec(s.link);
    out.intraKind = out.intraLink->kind;
    out.intraBandwidth = BytesPerSecond(s.bandwidth);
    out.intraLatency = Seconds(s.latency);
    out.multicast = c_.multicast && out.intraKind == LinkKind::nvswitch;
  }

  void setInter(GroupTopology& out, const Share& s) const {
    out.interLink = &c_.linkSpec(s.link);
    out.interKind = out.interLink->kind;
    out.interBandwidth = BytesPerSecond(s.bandwidth);
    out.interLatency = Seconds(s.latency);
  }

  const Cluster& c_;
  const DeviceMesh& mesh_;
  MeshAxes axes_;
  uint32_t ranks_;
  std::vector<uint32_t> next_;  // rank that it sends to on the next node
  std::vector<std::vector<std::vector<uint32_t>>> inside_;  // per node: its segments
  std::vector<std::vector<uint32_t>> arriving_;             // per node: ranks that send to it
  std::vector<uint32_t> classOf_;
  std::map<std::vector<uint32_t>, uint32_t> classes_;
  std::map<std::tuple<uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, bool>,
           std::vector<PlacedHop>>
      paths_;
  int64_t mostNodes_ = 1, mostPerNode_ = 1;
};

}  // namespace

GroupTopology describeGroup(const Cluster& cluster, const DeviceMesh& mesh, MeshAxes axes) {
  return Describer(cluster, mesh, axes).describe();
}

}  // namespace meshplan
