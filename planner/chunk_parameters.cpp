// SPDX-License-Identifier: Apache-2.0
#include "planner/chunk_parameters.h"

#include <algorithm>

#include "core/error.h"

namespace meshplan {
namespace {

std::vector<int64_t> chunksUsing(const TrainingModel& model, const Plan& plan, TensorId parameter) {
  std::vector<int64_t> chunks;
  for (OpId reader : model.graph.tensor(parameter).consumers) {
    if (reader.index() >= model.forwardOps) continue;
    const auto block = static_cast<int64_t>(model.chain.blockOf(reader));
    const auto next = std::upper_bound(plan.chunkStarts.begin(), plan.chunkStarts.end(), block);
    chunks.push_back(next - plan.chunkStarts.begin() - 1);
  }
  return chunks;
}

[[noreturn]] void rejectTied(const TrainingModel& model, TensorId parameter) {
  throw Error(ErrorKind::usage,
              "the plan splits the shared parameter '" + model.graph.tensor(parameter).name +
                  "' in two ways",
              "give all operators that read it strategies that split it alike");
}

}  // namespace

ChunkParameters::ChunkParameters(const TrainingModel& model, const Plan& plan, LayerCache& layers,
                                 int64_t chunk)
    : indexOf_(model.graph.tensorCount(), -1) {
  const auto c = static_cast<size_t>(chunk);
  for (int64_t b = plan.chunkStarts[c]; b < plan.chunkStarts[c + 1]; ++b) {
    const Block& block = model.chain.blocks[static_cast<size_t>(b)];
    for (uint32_t i = block.begin; i < block.end; ++i) {
      const auto& inputs = model.graph.op(OpId(i)).inputs;
      for (size_t k = 0; k < inputs.size(); ++k)
        if (model.graph.tensor(inputs[k]).kind == TensorKind::parameter)
          addUse(model, plan, layers, OpId(i), k);
    }
  }
  for (LocalParameter& p : all_)
    for (int64_t user : chunksUsing(model, plan, p.tensor))
      if (user < chunk && user % plan.mesh.pipeline == chunk % plan.mesh.pipeline) p.owned = false;
}

void ChunkParameters::addUse(const TrainingModel& model, const Plan& plan, LayerCache& layers,
                             OpId op, size_t input) {
  const LocalLayer& layer = layers.layer(op);
  const TensorId tensor = model.graph.op(op).inputs[input];
  int& index = indexOf_[tensor.index()];
  if (index < 0) {
    index = static_cast<int>(all_.size());
    LocalParameter p;
    p.tensor = tensor;
    p.type = layer.forward.inputs[input];
    const bool ofExperts = layer.forward.inputWhere[input].expert.kind == Placement::shard;
    const bool overExperts = layers.mesh().expert > 1 && !ofExperts;
    p.replicas = overExperts ? MeshAxis::data | MeshAxis::expert : MeshAxes(MeshAxis::data);
    p.tensorDim = layer.forward.inputWhere[input].tensor.dim;
    p.expertDim = layer.forward.inputWhere[input].expert.dim;
    p.shares = plan.zeroStage == 0 ? 1 : plan.mesh.size(p.replicas);
    constexpr int64_t kAlignment = 64;
    p.shareElements = ceilDiv(ceilDiv(p.type.elements(), p.shares), kAlignment) * kAlignment;
    all_.push_back(p);
  }
  LocalParameter& p = all_[static_cast<size_t>(index)];
  const LocalOperator::Where& where = layer.forward.inputWhere[input];
  if (p.tensorDim != where.tensor.dim || p.expertDim != where.expert.dim) rejectTied(model, tensor);
  const auto& gradients = model.gradients[op.index()];
  for (size_t g = 0; g < gradients.size(); ++g) {
    const auto& slots = model.graph.op(gradients[g]).outputSlots;
    for (size_t o = 0; o < slots.size(); ++o) {
      if (slots[o].index != input) continue;
      const bool partial = layer.gradients[g].outputWhere[o].tensor == kPartial;
      if (p.contributions > 0 && partial != p.partialOnTensor) rejectTied(model, tensor);
      ++p.contributions;
      p.gradientType = layer.gradients[g].outputs[o].dtype;
      p.partialOnTensor = partial;
    }
  }
}

std::vector<int64_t> stagesUsing(const TrainingModel& model, const Plan& plan, TensorId parameter) {
  std::vector<int64_t> stages = chunksUsing(model, plan, parameter);
  for (int64_t& s : stages) s %= plan.mesh.pipeline;
  std::sort(stages.begin(), stages.end());
  stages.erase(std::unique(stages.begin(), stages.end()), stages.end());
  return stages;
}

}  // namespace meshplan
