// SPDX-License-Identifier: Apache-2.0
#include "planner/update_lowering.h"

#include <algorithm>

#include "planner/routine_builder.h"

namespace meshplan {
namespace {

constexpr uint8_t bit(Stream s) {
  return static_cast<uint8_t>(1u << static_cast<int>(s));
}
constexpr uint8_t kCollectives = bit(Stream::tensor) | bit(Stream::expert) | bit(Stream::data);
constexpr uint8_t kEverything = kCollectives | bit(Stream::compute);

Instruction collective(CollectiveKind kind, MeshAxes axes, Bytes bytes) {
  Instruction i;
  i.kind = Instruction::Kind::collective;
  i.stream = axes == MeshAxes(MeshAxis::tensor) ? Stream::tensor : Stream::data;
  i.collective = kind;
  i.axes = axes;
  i.bytes = bytes;
  i.drains = kEverything;
  return i;
}

/// One fused pass over the share: reads the gradient, reads and writes state and master weights,
/// writes the weights.
OperatorWork updateWork(const Plan& plan, const std::vector<LocalParameter>& parameters) {
  const TrainingOptions& t = plan.training;
  OperatorWork work;
  work.def = &operatorDef("Update");
  work.phase = Phase::update;
  for (const LocalParameter& p : parameters) {
    const double share =
        static_cast<double>(p.type.elements()) / static_cast<double>(optimizerShards(plan, p));
    const auto weight = static_cast<double>(dtypeBytes(p.type.dtype));
    const double master = isMixed(t.precision) ? 8 + weight : 2 * weight;
    work.bytes += share * (static_cast<double>(dtypeBytes(p.gradientType)) + master +
                           8.0 * optimizerStates(t.optimizer));
    work.outputElements += share;
    work.accumulated += share * static_cast<double>(dtypeBytes(p.gradientType));
    // Two moments, a square root, a division and the weight decay: about ten operations per
    // element.
    work.flops += 10 * share;
  }
  return work;
}

Bytes weightBytes(const std::vector<LocalParameter>& parameters, MeshAxes replicas) {
  Bytes sum;
  for (const LocalParameter& p : parameters)
    if (p.replicas == replicas) sum += p.type.bytes();
  return sum;
}

}  // namespace

int64_t optimizerShards(const Plan& plan, const LocalParameter& p) {
  return plan.zeroStage >= 1 ? plan.mesh.size(p.replicas) : 1;
}

Routine lowerUpdate(const TrainingModel& model, const Plan& plan, LayerCache& layers, int64_t chunk,
                    std::vector<LocalParameter> parameters) {
  parameters.erase(std::remove_if(parameters.begin(), parameters.end(),
                                  [](const LocalParameter& p) { return !p.owned; }),
                   parameters.end());
  std::vector<Buffer> buffers;
  RoutineBuilder builder(Routine::Kind::update, chunk, layers, buffers);
  if (parameters.empty()) return builder.routine();

  std::vector<int32_t> summed;
  Bytes partial;
  for (const LocalParameter& p : parameters)
    if (p.partialOnTensor) partial += p.gradientBytes();
  if (partial.value > 0)
    summed.push_back(
        builder.add(collective(CollectiveKind::allReduce, MeshAxis::tensor, partial), {}));
  for (const LocalParameter& p : parameters) {
    const std::vector<int64_t> stages = stagesUsing(model, plan, p.tensor);
    if (stages.size() < 2) continue;
    Instruction tied = collective(CollectiveKind::allReduce, MeshAxis::pipeline,
                                  Bytes(p.gradientBytes().value / optimizerShards(plan, p)));
    tied.boundary = static_cast<int32_t>(p.tensor.index());
    tied.participants = static_cast<int32_t>(stages.size());
    summed.push_back(builder.add(std::move(tied), summed));
  }

  Instruction update;
  update.op = model.updateOf[parameters.front().tensor.index()];
  update.work = layers.addWork(updateWork(plan, parameters));
  update.drains = kCollectives;
  const int32_t updated = builder.add(std::move(update), summed);
  if (plan.zeroStage == 1 || plan.zeroStage == 2)
    for (MeshAxes replicas : {MeshAxes(MeshAxis::data), MeshAxis::data | MeshAxis::expert}) {
      const Bytes weights = weightBytes(parameters, replicas);
      if (weights.value > 0 && plan.mesh.size(replicas) > 1)
        builder.add(collective(CollectiveKind::allGather, replicas, weights), {updated});
    }
  return builder.routine();
}

}  // namespace meshplan
