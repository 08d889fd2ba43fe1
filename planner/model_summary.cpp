// SPDX-License-Identifier: Apache-2.0
#include "planner/model_summary.h"

#include <algorithm>
#include <set>

#include "planner/local_operator.h"
#include "planner/lowering.h"

namespace meshplan {
namespace {

struct Totals {
  double forward = 0, backward = 0, bytes = 0;
  double flops() const { return forward + backward; }
};

Totals totalsOf(const TrainingModel& model, OpId id) {
  const StageMesh mesh{1, 1, model.referenceBatch};
  const ScaledOperator scaled = scaleForward(model, id, mesh.samples);
  const OperatorWork forward = localise(model, id, scaled, {}, mesh, 0).work;
  Totals totals{forward.flops, 0, forward.bytes};
  for (OpId g : model.gradients[id.index()]) {
    const ScaledOperator gradient = scaleGradient(model, scaled, g, mesh.samples);
    const OperatorWork work = localise(model, g, gradient, {}, mesh, forward.flops).work;
    // A flash kernel's second pass over the scores is recomputation, not model FLOPs.
    const bool attention = model.graph.op(g).def->opClass == OpClass::attention;
    totals.backward += attention ? 2 * forward.flops : work.flops;
    totals.bytes += work.bytes;
  }
  return totals;
}

int64_t parametersOf(const Graph& graph, const Block& block) {
  std::set<TensorId> seen;
  int64_t elements = 0;
  for (uint32_t i = block.begin; i < block.end; ++i)
    for (TensorId t : graph.op(OpId(i)).inputs)
      if (graph.tensor(t).kind == TensorKind::parameter && seen.insert(t).second)
        elements += graph.tensor(t).type.elements();
  return elements;
}

/// All on one device in one micro-batch, nothing recomputed: what stays is what a plan keeps.
Bytes keptActivations(const TrainingModel& model) {
  Plan plan;
  plan.globalBatch = plan.microBatch = model.referenceBatch;
  plan.training = model.options;
  plan.chunkStarts = {0, static_cast<int64_t>(model.chain.blocks.size())};
  plan.strategies.resize(model.forwardOps);
  Bytes kept;
  for (const Routine& routine : lower(model, plan, {}).routines)
    if (routine.kind == Routine::Kind::forward)
      for (const Buffer& buffer : routine.buffers)
        if (buffer.scope == Buffer::Scope::microBatch) kept += buffer.bytes;
  return kept;
}

class Summary {
 public:
  explicit Summary(const TrainingModel& model)
      : model_(model), samples_(static_cast<double>(model.referenceBatch)) {}

  ModelSummary make(size_t heaviest) {
    const Graph& graph = model_.graph;
    out_.parameters = graph.parameterCount();
    out_.operators = model_.forwardOps;
    out_.activations = keptActivations(model_) / model_.referenceBatch;
    for (const Tensor& t : graph.tensors())
      if (t.kind == TensorKind::parameter) out_.weights += t.type.bytes();
    for (const BlockClass& c : model_.chain.classes) addClass(c);
    for (auto& row : out_.heaviest) row.share = row.flops / (out_.forward + out_.backward);
    for (auto& row : out_.unknown) row.share /= std::max(bytes_, 1.0);
    std::stable_sort(out_.heaviest.begin(), out_.heaviest.end(),
                     [](const auto& a, const auto& b) { return a.flops > b.flops; });
    out_.heaviest.resize(std::min(heaviest, out_.heaviest.size()));
    return std::move(out_);
  }

 private:
  void addClass(const BlockClass& blockClass) {
    const Block& block = model_.chain.blocks[blockClass.first];
    const bool alone = block.size() == 1;
    const std::string name =
        alone ? model_.graph.op(OpId(block.begin)).name : blockName(model_.graph, block);
    ModelSummary::BlockRow row{name, blockClass.count, parametersOf(model_.graph, block), Flops(0)};
    for (uint32_t i = block.begin; i < block.end; ++i)
      row.flops += addOperator(OpId(i), blockClass.count);
    out_.blocks.push_back(row);
  }

  /// FLOPs of one such operator per sample.
  Flops addOperator(OpId id, int64_t count) {
    const Operator& op = model_.graph.op(id);
    const Totals totals = totalsOf(model_, id);
    const auto times = static_cast<double>(count);
    out_.forward += Flops(totals.forward / samples_) * times;
    out_.backward += Flops(totals.backward / samples_) * times;
    bytes_ += totals.bytes * times;
    ModelSummary::OperatorRow row{op.name,
                                  std::string(op.def->name),
                                  shapeText(model_.graph.tensor(op.outputs.at(0)).type.shape),
                                  count,
                                  Flops(totals.flops() / samples_) * times,
                                  0};
    if (op.def->opClass == OpClass::opaque) {
      row.kind = op.attributes.getString("type", op.def->name);
      row.share = totals.bytes * times;
      out_.unknown.push_back(row);
    } else if (totals.flops() > 0) {
      out_.heaviest.push_back(row);
    }
    return Flops(totals.flops() / samples_);
  }

  const TrainingModel& model_;
  double samples_, bytes_ = 0;
  ModelSummary out_;
};

}  // namespace

ModelSummary summarise(const TrainingModel& model, size_t heaviest) {
  return Summary(model).make(heaviest);
}

}  // namespace meshplan
