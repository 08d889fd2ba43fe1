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
  Evidence evidence;
};

Evidence evidenceOf(const Estimate& e) {
  return {float(e.uncertainty), e.provenance};
}

// Answers each distinct question once.
class ProgramCost {
 public:
  ProgramCost(const Program& program, const Cluster& cluster, const CostModel& cost)
      : program_(program),
        cluster_(cluster),
        cost_(cost),
        mesh_(cluster, program.mesh),
        serial_(cluster.specs().front().architecture == "cpu"),
        operators_(program.work.size()) {}

  Cost of(const Instruction& in) {
    if (in.kind == Instruction::Kind::receive && !serial_) return {};
    if (in.kind == Instruction::Kind::compute) {
      const Estimate& e = operatorTime(in.work);
      return {e.time, {}, evidenceOf(e)};
    }
    const bool transfer = in.kind != Instruction::Kind::collective;
    const CollectiveKind kind = transfer ? CollectiveKind::sendReceive : in.collective;
    const MeshAxes axes = transfer ? MeshAxes(MeshAxis::pipeline) : in.axes;
    const auto [at, isNew] =
        collectives_.try_emplace({kind, axes, in.participants, in.bytes.value});
    if (isNew) at->second = communication(kind, in.bytes, group(axes, in.participants));
    if (transfer && serial_) return {at->second.time / 2, {}, at->second.evidence};
    return at->second;
  }

  bool serial() const { return serial_; }

  /// Of the whole program, by time.
  double loneSpeedup() {
    double together = 0, alone = 0;
    for (const OperatorWork& w : program_.work) {
      const double seconds = cost_.operatorTime(w).time.value;
      together += seconds;
      alone += seconds / cost_.loneSpeedup(w);
    }
    return alone > 0 ? together / alone : 1;
  }

 private:
  const Estimate& operatorTime(uint32_t work) {
    std::optional<Estimate>& estimate = operators_[work];
    if (!estimate) estimate = cost_.operatorTime(program_.work[work]);
    return *estimate;
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
    const Estimate estimate = cost_.collectiveTime(kind, bytes, g);
    const Seconds time = estimate.time;
    const double wire = wireBytes(kind, double(bytes.value), g.ranks);
    const auto demand = [&](BytesPerSecond bandwidth) {
      return time.value > 0 ? float(std::min(1.0, wire / bandwidth.value / time.value)) : 0.0f;
    };
    LinkDemand links;
    if (g.nodes > 1) links.network = demand(g.interBandwidth);
    if (g.ranksPerNode > 1) links.fabric = demand(g.intraBandwidth);
    return {time, links, evidenceOf(estimate)};
  }

  const Program& program_;
  const Cluster& cluster_;
  const CostModel& cost_;
  DeviceMesh mesh_;
  bool serial_;
  std::vector<std::optional<Estimate>> operators_;
  std::map<MeshAxes, GroupTopology> groups_;
  std::map<std::tuple<CollectiveKind, MeshAxes, int32_t, int64_t>, Cost> collectives_;
};

/// A gather is hidden behind the product that waits for it, a scatter behind the one that it waits
/// for: the exchange goes round the group in as many pieces as it has ranks, beside the product of
/// the piece before, so that one piece and what is longer than the product stay exposed. A product
/// hides one exchange, and is slowed meanwhile.
class TensorOverlap {
 public:
  TensorOverlap(const Program& program, const CostModel& cost)
      : program_(program), slowdown_(cost.computeSlowdown()) {}

  void apply(const Routine& routine, std::vector<Seconds>& times) const {
    const std::vector<Instruction>& all = routine.instructions;
    std::vector<bool> used(all.size());
    for (uint32_t i = 0; i < all.size(); ++i) {
      if (!exchanges(all[i])) continue;
      const bool gathers = all[i].collective == CollectiveKind::allGather;
      const uint32_t product = gathers ? reader(all, i) : maker(all, i);
      if (product == kNone || used[product]) continue;
      used[product] = true;
      times[i] = exposed(times[i], times[product]);
    }
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  static bool exchanges(const Instruction& in) {
    return in.kind == Instruction::Kind::collective && in.stream == Stream::tensor &&
           (in.collective == CollectiveKind::allGather ||
            in.collective == CollectiveKind::reduceScatter);
  }

  bool multiplies(const Instruction& in) const {
    return in.kind == Instruction::Kind::compute &&
           program_.work[in.work].def->opClass == OpClass::contraction;
  }

  uint32_t reader(const std::vector<Instruction>& all, uint32_t collective) const {
    for (uint32_t i = collective + 1; i < all.size(); ++i) {
      const auto& waits = all[i].waits;
      if (std::find(waits.begin(), waits.end(), collective) != waits.end())
        return multiplies(all[i]) ? i : kNone;
    }
    return kNone;
  }

  uint32_t maker(const std::vector<Instruction>& all, uint32_t collective) const {
    const auto& waits = all[collective].waits;
    const auto last = std::max_element(waits.begin(), waits.end());
    return last != waits.end() && multiplies(all[*last]) ? *last : kNone;
  }

  Seconds exposed(Seconds exchange, Seconds product) const {
    const double piece = 1 / static_cast<double>(program_.mesh.tensor);
    const double beside = (1 - piece) * exchange.value, room = (1 - piece) * product.value;
    const double hidden = std::min(beside, room);
    return Seconds(exchange.value - hidden + (slowdown_ - 1) * hidden);
  }

  const Program& program_;
  double slowdown_;
};

}  // namespace

InstructionTimes costProgram(const Program& program, const Cluster& cluster,
                             const CostModel& cost) {
  ProgramCost costs(program, cluster, cost);
  const TensorOverlap overlap(program, cost);
  InstructionTimes out;
  for (const Routine& routine : program.routines) {
    std::vector<Seconds>& times = out.times.emplace_back();
    std::vector<LinkDemand>& demands = out.demands.emplace_back();
    std::vector<Seconds>& host = out.host.emplace_back();
    std::vector<Evidence>& evidence = out.evidence.emplace_back();
    for (const Instruction& in : routine.instructions) {
      const Cost c = costs.of(in);
      times.push_back(c.time);
      demands.push_back(c.demand);
      evidence.push_back(c.evidence);
      host.push_back(in.kind == Instruction::Kind::compute ? cost.hostTime(program.work[in.work])
                                                           : cost.hostCollectiveTime());
    }
    if (program.overlapTensor && !costs.serial()) overlap.apply(routine, times);
  }
  out.computeSlowdown = cost.computeSlowdown();
  out.collectiveSlowdown = cost.collectiveSlowdown();
  out.serial = costs.serial();
  if (out.serial && cluster.coresPerNode > 0)
    out.shared = {double(cluster.coresPerNode) * double(cluster.nodeCount()),
                  double(cluster.specs().front().multiprocessors), costs.loneSpeedup()};
  return out;
}

}  // namespace meshplan
