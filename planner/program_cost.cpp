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
    const auto [at, isNew] = collectives_.try_emplace({in.collective, in.axes, in.bytes.value});
    if (isNew) at->second = communication(in);
    return at->second;
  }

 private:
  Seconds operatorTime(uint32_t work) {
    std::optional<Seconds>& time = operators_[work];
    if (!time) time = cost_.operatorTime(program_.work[work]).time;
    return *time;
  }

  const GroupTopology& group(MeshAxes axes) {
    const auto [at, isNew] = groups_.try_emplace(axes);
    if (isNew) at->second = describeGroup(cluster_, mesh_, axes);
    return at->second;
  }

  Cost communication(const Instruction& in) {
    const GroupTopology& g = group(in.axes);
    const Seconds time = cost_.collectiveTime(in.collective, in.bytes, g).time;
    const bool transfer = in.collective == CollectiveKind::sendReceive;
    const double wire = wireBytes(in.collective, double(in.bytes.value), transfer ? 2 : g.ranks);
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
  std::map<std::tuple<CollectiveKind, MeshAxes, int64_t>, Cost> collectives_;
};

}  // namespace

InstructionTimes costProgram(const Program& program, const Cluster& cluster,
                             const CostModel& cost) {
  ProgramCost costs(program, cluster, cost);
  InstructionTimes out;
  for (const Routine& routine : program.routines) {
    std::vector<Seconds>& times = out.times.emplace_back();
    std::vector<LinkDemand>& demands = out.demands.emplace_back();
    for (const Instruction& in : routine.instructions) {
      const Cost c = costs.of(in);
      times.push_back(c.time);
      demands.push_back(c.demand);
    }
  }
  out.computeSlowdown = cost.computeSlowdown();
  out.collectiveSlowdown = cost.collectiveSlowdown();
  return out;
}

}  // namespace meshplan
