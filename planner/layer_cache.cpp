// SPDX-License-Identifier: Apache-2.0
#include "planner/layer_cache.h"

#include <algorithm>

#include "core/error.h"

namespace meshplan {

const LocalLayer& LayerCache::layer(OpId forward) {
  const Block& block = model_.chain.blocks[model_.chain.blockOf(forward)];
  const OperatorStrategy strategy = strategies_[forward.index()];
  const auto position = static_cast<uint32_t>(forward.index()) - block.begin;
  const auto [at, isNew] =
      layers_.try_emplace(std::tuple(block.blockClass, position, strategy.tensor, strategy.expert));
  LocalLayer& layer = at->second;
  if (!isNew) return layer;

  layer.scaled = scaleForward(model_, forward, mesh_.samples);
  if (!applicable(layer.scaled, strategy, mesh_))
    throw Error(ErrorKind::input,
                "the plan splits an axis of operator '" + model_.graph.op(forward).name +
                    "' that does not divide by the mesh",
                "plan the model again");
  layer.forward = localise(model_, forward, layer.scaled, strategy, mesh_, 0);
  layer.forwardWork = addWork(layer.forward.work);
  for (OpId g : model_.gradients[forward.index()]) {
    layer.scaledGradients.push_back(scaleGradient(model_, layer.scaled, g, mesh_.samples));
    layer.gradients.push_back(localise(model_, g, layer.scaledGradients.back(), strategy, mesh_,
                                       layer.forward.work.flops));
    layer.gradientWork.push_back(addWork(layer.gradients.back().work));
  }
  return layer;
}

LocalOperator::Where LayerCache::where(TensorId activation) {
  const OpId producer = model_.graph.tensor(activation).producer;
  const auto& outputs = model_.graph.op(producer).outputs;
  const auto i = std::find(outputs.begin(), outputs.end(), activation) - outputs.begin();
  return layer(producer).forward.outputWhere[static_cast<size_t>(i)];
}

uint32_t LayerCache::addWork(const OperatorWork& work) {
  const auto [first, last] = workByBytes_.equal_range(work.bytes);
  for (auto it = first; it != last; ++it)
    if (work_[it->second] == work) return it->second;
  work_.push_back(work);
  workByBytes_.emplace(work.bytes, static_cast<uint32_t>(work_.size() - 1));
  return static_cast<uint32_t>(work_.size() - 1);
}

}  // namespace meshplan
