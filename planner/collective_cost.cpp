// SPDX-License-Identifier: Apache-2.0
#include "planner/collective_cost.h"

#include <algorithm>
#include <cmath>

#include "planner/link_parameters.h"

namespace meshplan {
namespace {

double smooth(double bytes, double half) {
  return bytes / (bytes + half);
}

// Chunks through a pipeline, at the best chunk size.
double stream(double bytes, double bandwidth, double latency) {
  const double seconds = bytes / bandwidth;
  return seconds + 2 * std::sqrt(seconds * latency);
}

class Collective {
 public:
  Collective(const GroupTopology& g, double bytes)
      : g_(g),
        bytes_(bytes),
        n_(static_cast<double>(g.ranks)),
        nodes_(static_cast<double>(g.nodes)),
        local_(static_cast<double>(g.ranksPerNode)),
        intra_(g.intraLink ? resolveLinkParameters(*g.intraLink)
                           : defaultLinkParameters(g.intraKind)),
        inter_(g.interLink ? resolveLinkParameters(*g.interLink)
                           : defaultLinkParameters(g.interKind)) {}

  double allReduce() const {
    double best = std::min(ring(2), 2 * ring(1));
    if (nodes_ > 1) best = std::min(best, tree());
    if (multicast()) best = std::min(best, inNetwork());
    return best;
  }

  // `passes` of n-1 steps each.
  double ring(double passes) const {
    const double wire = passes * (n_ - 1) / n_ * bytes_;
    return ringLatency(passes) + stream(wire, ringBandwidth(), fill()) +
           passes / 2 * bytes_ / intra_.passBandwidth;
  }

  // Only rings gather and scatter: across nodes every step of large chunks pays the chunked
  // protocol.
  double gather() const {
    if (nodes_ == 1) return ring(1);
    const double steps = (n_ - nodes_) * std::max(0.0, intra_.chunkHopLatency - intra_.hopLatency) +
                         nodes_ * std::max(0.0, inter_.chunkHopLatency - inter_.hopLatency);
    return ring(1) + steps * smooth(bytes_ / n_, inter_.protocolBytes);
  }

  double broadcast() const { return ringLatency(1) + bytes_ / ringBandwidth(); }

  double allToAll() const {
    const double part = bytes_ / n_ / n_;  // what one rank has for another
    const double inside = part * (local_ - 1) / transferBandwidth(false);
    const double across = nodes_ > 1 ? part * (n_ - local_) / transferBandwidth(true) : 0;
    const double latency = intra_.transferLatency + 2 * std::log2(nodes_) * netHop();
    return latency + std::max(inside, across) + part / intra_.passBandwidth;
  }

  double send() const {
    const bool across = nodes_ > 1;
    const LinkParameters& p = across ? inter_ : intra_;
    const double hop = across ? netHop() : intraHop();
    return p.baseLatency + hop + p.protocolLatency * smooth(bytes_, p.protocolBytes) +
           bytes_ / transferBandwidth(across);
  }

  // Below 1 MiB latencies decide, and the library's choice of protocol shows.
  double uncertainty() const {
    const double known =
        std::max(nodes_ > 1 ? inter_.uncertainty : 0, local_ > 1 ? intra_.uncertainty : 0);
    return known * (1.2 + 1 / (1 + bytes_ / static_cast<double>(kMiB)));
  }

 private:
  bool multicast() const {
    return g_.multicast && intra_.multicastEfficiency > 0 && local_ >= intra_.multicastRanks;
  }

  double intraHop() const { return intra_.hopLatency + g_.intraLatency.value; }
  double netHop() const { return inter_.treeHopLatency + g_.interLatency.value; }
  double intraBandwidth() const { return g_.intraBandwidth.value * intra_.efficiency; }
  double nodeBandwidth() const {
    const double shared = g_.concurrent ? inter_.concurrentEfficiency : 1;
    return local_ * g_.interBandwidth.value * inter_.efficiency * shared;
  }

  double transferBandwidth(bool across) const {
    return across ? g_.interBandwidth.value * std::min(inter_.efficiency, inter_.transferEfficiency)
                  : g_.intraBandwidth.value * intra_.transferEfficiency;
  }

  double ringBandwidth() const {
    double b = 1e30;
    if (local_ > 1) b = std::min(b, intraBandwidth());
    if (nodes_ > 1) b = std::min(b, nodeBandwidth());
    return b;
  }

  double protocol() const {
    const double inside = local_ > 1 ? intra_.protocolLatency : 0;
    if (nodes_ == 1) return inside * smooth(bytes_ / n_, intra_.protocolBytes);
    const double across = inter_.protocolLatency * std::log2(nodes_);
    return (inside + across) * smooth(bytes_, inter_.protocolBytes);
  }

  double baseLatency() const {
    return std::max(local_ > 1 ? intra_.baseLatency : 0, nodes_ > 1 ? inter_.baseLatency : 0);
  }

  double ringLatency(double passes) const {
    const double across = nodes_ > 1 ? nodes_ * (inter_.hopLatency + g_.interLatency.value) : 0;
    const double steps = nodes_ > 1 ? n_ - nodes_ : n_ - 1;
    return baseLatency() + passes * (steps * intraHop() + across) + protocol();
  }

  // Not below a ring inside one of the nodes: joining more nodes never saves time.
  double treeLatency() const {
    const double chain = intra_.treeHopLatency + g_.intraLatency.value;
    const double inside = intra_.baseLatency + 2 * (local_ - 1) * intraHop();
    const double across =
        baseLatency() + 2 * (local_ - 1) * chain + 2 * std::log2(nodes_) * netHop();
    return std::max(inside, across) + protocol();
  }

  double fill() const {
    return (local_ > 1 ? intra_.pipelineLatency : 0) + inter_.pipelineLatency * std::log2(nodes_);
  }

  double tree() const {
    const double wire = wireBytes(CollectiveKind::allReduce, bytes_, g_.ranks);
    return treeLatency() + stream(wire, ringBandwidth() * inter_.treeEfficiency, fill()) +
           bytes_ / intra_.passBandwidth;
  }

  double inNetwork() const {
    const double inside = stream(bytes_, g_.intraBandwidth.value * intra_.multicastEfficiency,
                                 intra_.pipelineLatency);
    if (nodes_ == 1) return ringLatency(2) + inside;
    const double wire = wireBytes(CollectiveKind::allReduce, bytes_, g_.ranks);
    return treeLatency() + std::max(inside, stream(wire, nodeBandwidth(), fill()));
  }

  const GroupTopology& g_;
  double bytes_, n_, nodes_, local_;
  LinkParameters intra_, inter_;
};

double seconds(CollectiveKind kind, const Collective& c) {
  switch (kind) {
    case CollectiveKind::allReduce:
      return c.allReduce();
    case CollectiveKind::reduceScatter:
    case CollectiveKind::allGather:
      return c.gather();
    case CollectiveKind::allToAll:
      return c.allToAll();
    case CollectiveKind::broadcast:
      return c.broadcast();
    case CollectiveKind::sendReceive:
      return c.send();
    case CollectiveKind::none:
    case CollectiveKind::slice:
      break;
  }
  return 0;
}

}  // namespace

Estimate collectiveCost(CollectiveKind kind, Bytes bytes, const GroupTopology& group) {
  if (wireBytes(kind, static_cast<double>(bytes.value), group.ranks) <= 0) return {};
  const Collective c(group, static_cast<double>(bytes.value));
  return {Seconds(seconds(kind, c)), c.uncertainty(), Provenance::analytic};
}

}  // namespace meshplan
