// SPDX-License-Identifier: Apache-2.0
#include "planner/training_model.h"

#include <algorithm>

#include "planner/local_operator.h"

namespace meshplan {
namespace {

bool hasLoss(const Graph& graph, const Block& block) {
  for (uint32_t i = block.begin; i < block.end; ++i)
    if (graph.op(OpId(i)).def->opClass == OpClass::loss) return true;
  return false;
}

void linkBackward(TrainingModel& model) {
  model.gradients.resize(model.forwardOps);
  model.gradientSum.resize(model.graph.tensorCount());
  model.updateOf.resize(model.graph.tensorCount());
  model.hasGradient.resize(model.graph.tensorCount());
  for (const Tensor& t : model.graph.tensors())
    if (t.kind == TensorKind::gradient) model.hasGradient[t.forward.index()] = true;
  for (size_t i = model.forwardOps; i < model.graph.operatorCount(); ++i) {
    const Operator& op = model.graph.op(OpId(i));
    if (op.phase == Phase::update)
      model.updateOf[op.inputs[0].index()] = OpId(i);
    else if (op.outputSlots.empty())
      model.gradientSum[model.graph.tensor(op.outputs[0]).forward.index()] = OpId(i);
    else
      model.gradients[op.forward.index()].push_back(OpId(i));
  }
}

void markRecomputable(TrainingModel& model) {
  const auto& classes = model.chain.classes;
  const bool repeats =
      std::any_of(classes.begin(), classes.end(), [](const BlockClass& c) { return c.count > 1; });
  for (const Block& block : model.chain.blocks)
    model.recomputable.push_back(repeats ? classes[block.blockClass].count > 1
                                         : !hasLoss(model.graph, block));
}

}  // namespace

TrainingModel prepareTraining(const Model& source, const TrainingOptions& options) {
  TrainingModel model;
  model.graph = trainingGraph(source.graph, options);
  model.forwardOps = forwardCount(model.graph);
  model.chain = findBlocks(model.graph, model.forwardOps);
  model.options = options;
  model.referenceBatch = source.referenceBatch;
  model.tokensPerSample = source.tokensPerSample;
  linkBackward(model);
  markRecomputable(model);
  return model;
}

Flops modelFlopsPerSample(const TrainingModel& model) {
  const StageMesh mesh{1, 1, model.referenceBatch};
  double flops = 0;
  std::vector<double> classFlops(model.chain.classes.size(), -1);
  for (const Block& block : model.chain.blocks) {
    double& known = classFlops[block.blockClass];
    if (known < 0) {
      known = 0;
      for (uint32_t i = block.begin; i < block.end; ++i) {
        const ScaledOperator scaled = scaleForward(model, OpId(i), mesh.samples);
        const double forward = localise(model, OpId(i), scaled, {}, mesh, 0).work.flops;
        known += forward;
        for (OpId g : model.gradients[i]) {
          const Operator& op = model.graph.op(g);
          // A flash kernel's second pass over the scores is recomputation, not model FLOPs.
          known += op.def->opClass == OpClass::attention
                       ? 2 * forward
                       : localise(model, g, scaleGradient(model, scaled, g, mesh.samples), {}, mesh,
                                  forward)
                             .work.flops;
        }
      }
    }
    flops += known;
  }
  return Flops(flops / static_cast<double>(model.referenceBatch));
}

}  // namespace meshplan
