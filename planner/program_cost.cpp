// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "planner/simulator.h"

namespace meshplan {
namespace {

struct Cost {
  Seconds time;
  LinkDemand demand;
};

// Answers each distinct question once.
class ProgramCost {
 public:
  ProgramCost(const Program& program, const Cluster& cluster, const CostModel& cost)
      : program_(program),
        cluster_(cluster),
        cost_(cost),
        mesh_(cluster, program.mesh),
        operators_(program.work.size()) {}

  Cost of(const Instruction& in) {
    if (in.kind == Instruction::Kind::receive) return {};
    if (in.kind == Instruction::Kind::compute) return {operatorTime(in.work), {}};
    const bool transfer = in.kind == Instruction::Kind::send;
    const CollectiveKind kind = transfer ? CollectiveKind::sendReceive : in.collective;
    const MeshAxes axes = transfer ? MeshAxes(MeshAxis::pipeline) : in.axes;
    const auto [at, isNew] =
        collectives_.try_emplace({kind, axes, in.participants, in.bytes.value});
    if (isNew) at->second = communication(kind, in.bytes, group(axes, in.participants));
    return at->second;
  }

 private:
  Seconds operatorTime(uint32_t work) {
    std::optional<Seconds>& time = operators_[work];
    if (!time) time = cost_.operatorTime(program_.work[work]).time;
    return *time;
  }

  GroupTopology group(MeshAxes axes, int64_t participants) {
    const auto [at, isNew] = groups_.try_emplace(axes);
    if (isNew) at->second = describeGroup(cluster_, mesh_, axes);
    GroupTopology g = at->second;
    if (participants == 0) return g;
    // Only some stages take part: they lie as far apart as the group's nodes allow.
    g.ranks = g.ranks / program_.mesh.pipeline * participants;
    g.nodes = std::min(g.nodes, g.ranks);
    g.ranksPerNode = std::min(g.ranksPerNode, ceilDiv(g.ranks, g.nodes));
    return g;
  }

  Cost communication(CollectiveKind kind, Bytes bytes, const GroupTopology& g) const {
    const Seconds time = cost_.collectiveTime(kind, bytes, g).time;
    const double wire = wireBytes(kind, double(bytes.value), g.ranks);
    const auto demand = [&](BytesPerSecond bandwidth) {
      return time.value > 0 ? float(std::min(1.0, wire / bandwidth.value / time.value)) : 0.0f;
    };
    LinkDemand links;
    if (g.nodes > 1) links.network = demand(g.interBandwidth);
    if (g.ranksPerNode > 1) links.fabric = demand(g.intraBandwidth);
    return {time, links};
  }

  const Program& program_;
  const Cluster& cluster_;
  const CostModel& cost_;
  DeviceMesh mesh_;
  std::vector<std::optional<Seconds>> operators_;
  std::map<MeshAxes, GroupTopology> groups_;
  std::map<std::tuple<CollectiveKind, MeshAxes, int32_t, int64_t>, Cost> collectives_;
};

}  // namespace

InstructionTimes costProgram(const Program& program, const Cluster& cluster,
                             const CostModel& cost) {
  ProgramCost costs(program, cluster, cost);
  InstructionTimes out;
  for (const Routine& routine : program.routines) {
    std::vector<Seconds>& times = out.times.emplace_back();
    std::vector<LinkDemand>& demands = out.demands.emplace_back();
    std::vector<Seconds>& host = out.host.emplace_back();
    for (const Instruction& in : routine.instructions) {
      const Cost c = costs.of(in);
      times.push_back(c.time);
      demands.push_back(c.demand);
      host.push_back(in.kind == Instruction::Kind::compute ? cost.hostTime(program.work[in.work])
                                                           : cost.hostCollectiveTime());
    }
  }
  out.computeSlowdown = cost.computeSlowdown();
  out.collectiveSlowdown = cost.collectiveSlowdown();
  return out;
}

}  // namespace meshplan
