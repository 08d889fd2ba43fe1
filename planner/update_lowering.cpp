// SPDX-License-Identifier: Apache-2.0
#include "planner/update_lowering.h"

#include <algorithm>
#include <utility>

#include "planner/operator_binding.h"
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
    const double share = static_cast<double>(p.type.elements()) / static_cast<double>(p.shares);
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

/// Reads the gradients once.
OperatorWork overflowWork(const std::vector<LocalParameter>& parameters) {
  OperatorWork work;
  work.def = &operatorDef("Update");
  work.phase = Phase::update;
  for (const LocalParameter& p : parameters) {
    const double share = static_cast<double>(p.type.elements()) / static_cast<double>(p.shares);
    work.bytes += share * static_cast<double>(dtypeBytes(p.gradientType));
    work.flops += share;
  }
  return work;
}

Bytes gradientShare(const LocalParameter& p) {
  return Bytes(p.shareElements * dtypeBytes(p.gradientType));
}

/// One collective over the gradients (or weights) of all parameters that it concerns.
struct Gathered {
  Bytes bytes;
  Binding binding;

  void add(const RoutineBuilder& builder, Operand::Place place, const LocalParameter& p,
           Bytes size) {
    bytes += size;
    if (!builder.binds()) return;
    binding.inputs.push_back(parameterOperand(place, p.tensor, p.type));
    binding.outputs = binding.inputs;
  }
};

bool scalesLoss(const Plan& plan) {
  return plan.training.precision == Precision::fp16;
}

/// Returns the instructions that sum up what is still Partial.
std::vector<int32_t> addSums(RoutineBuilder& builder, const TrainingModel& model, const Plan& plan,
                             const std::vector<LocalParameter>& parameters) {
  using Place = Operand::Place;
  std::vector<int32_t> summed;
  Gathered partial;
  for (const LocalParameter& p : parameters)
    if (p.partialOnTensor) partial.add(builder, Place::gradient, p, gradientShare(p));
  if (partial.bytes.value > 0)
    summed.push_back(
        builder.add(collective(CollectiveKind::allReduce, MeshAxis::tensor, partial.bytes), {},
                    std::move(partial.binding)));
  for (const LocalParameter& p : parameters) {
    const std::vector<int64_t> stages = stagesUsing(model, plan, p.tensor);
    if (stages.size() < 2) continue;
    Gathered gradient;
    gradient.add(builder, Place::gradient, p, gradientShare(p));
    Instruction tied = collective(CollectiveKind::allReduce, MeshAxis::pipeline, gradient.bytes);
    tied.boundary = static_cast<int32_t>(p.tensor.index());
    tied.participants = static_cast<int32_t>(stages.size());
    summed.push_back(builder.add(std::move(tied), summed, std::move(gradient.binding)));
  }
  return summed;
}

/// One pass over all parameters, of `place` for the executor.
int32_t addPass(RoutineBuilder& builder, const TrainingModel& model, uint32_t work,
                Operand::Place place, Binding::Part part,
                const std::vector<LocalParameter>& parameters, const std::vector<int32_t>& waits) {
  Instruction pass;
  Gathered visited;
  for (const LocalParameter& p : parameters) visited.add(builder, place, p, {});
  visited.binding.part = part;
  pass.op = model.updateOf[parameters.front().tensor.index()];
  pass.work = work;
  pass.drains = kCollectives;
  return builder.add(std::move(pass), waits, std::move(visited.binding));
}

void addGathers(RoutineBuilder& builder, const Plan& plan,
                const std::vector<LocalParameter>& parameters, int32_t updated) {
  for (MeshAxes replicas : {MeshAxes(MeshAxis::data), MeshAxis::data | MeshAxis::expert}) {
    Gathered weights;
    for (const LocalParameter& p : parameters)
      if (p.replicas == replicas) weights.add(builder, Operand::Place::weights, p, p.weightBytes());
    if (weights.bytes.value > 0 && plan.mesh.size(replicas) > 1)
      builder.add(collective(CollectiveKind::allGather, replicas, weights.bytes), {updated},
                  std::move(weights.binding));
  }
}

}  // namespace

UpdateRoutines lowerUpdate(const TrainingModel& model, const Plan& plan, LayerCache& layers,
                           int64_t chunk, std::vector<LocalParameter> parameters) {
  parameters.erase(std::remove_if(parameters.begin(), parameters.end(),
                                  [](const LocalParameter& p) { return !p.owned; }),
                   parameters.end());
  std::vector<Buffer> buffers;
  RoutineBuilder check(Routine::Kind::update, chunk, layers, buffers),
      update(Routine::Kind::update, chunk, layers, buffers);
  if (parameters.empty()) return {{}, update.routine()};

  const bool scaled = scalesLoss(plan);
  std::vector<int32_t> summed = addSums(scaled ? check : update, model, plan, parameters);
  if (scaled)
    addPass(check, model, layers.addWork(overflowWork(parameters)), Operand::Place::gradient,
            Binding::Part::overflow, parameters, std::exchange(summed, {}));
  const int32_t updated =
      addPass(update, model, layers.addWork(updateWork(plan, parameters)), Operand::Place::weights,
              Binding::Part::whole, parameters, summed);
  if (plan.zeroStage == 1 || plan.zeroStage == 2) addGathers(update, plan, parameters, updated);
  UpdateRoutines routines{{}, std::move(update.routine())};
  if (scaled) routines.check = std::move(check.routine());
  return routines;
}

std::optional<Routine> lowerOverflow(const Plan& plan, LayerCache& layers, int64_t stage) {
  if (!scalesLoss(plan) || plan.mesh.ranks() == 1) return std::nullopt;
  std::vector<Buffer> buffers;
  RoutineBuilder builder(Routine::Kind::update, stage, layers, buffers);
  Binding binding;
  binding.part = Binding::Part::overflow;
  builder.add(collective(CollectiveKind::allReduce, kWorldAxes, Bytes(sizeof(float))), {},
              std::move(binding));
  return std::move(builder.routine());
}

}  // namespace meshplan
