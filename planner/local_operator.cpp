// SPDX-License-Identifier: Apache-2.0
#include "planner/local_operator.h"

#include <algorithm>

#include "core/error.h"

namespace meshplan {
namespace {

std::vector<TensorType> scaledTypes(const TrainingModel& model, const std::vector<TensorId>& ids,
                                    int64_t samples) {
  std::vector<TensorType> types;
  types.reserve(ids.size());
  for (TensorId t : ids) types.push_back(scaledType(model, t, samples));
  return types;
}

/// The loop axis that the batch (or sequence) dimension of any of the tensors walks outermost.
template <class DimOf>
int8_t axisOf(const LoopNest& nest, const TrainingModel& model, const Operator& op, DimOf dimOf) {
  const auto find = [&](const std::vector<TensorId>& ids, const std::vector<TensorWalk>& walks) {
    for (size_t i = 0; i < ids.size(); ++i) {
      const int8_t dim = dimOf(model.graph.tensor(ids[i]));
      if (dim < 0 || static_cast<size_t>(dim) >= walks[i].size()) continue;
      const int8_t axis = splitAxis(nest, walks[i][static_cast<size_t>(dim)]);
      if (axis != kNoAxis) return axis;
    }
    return kNoAxis;
  };
  const int8_t fromInputs = find(op.inputs, nest.inputs);
  return fromInputs != kNoAxis ? fromInputs : find(op.outputs, nest.outputs);
}

int64_t shardRanks(const Placement& p, size_t dim, int64_t ranks) {
  return p.kind == Placement::shard && static_cast<size_t>(p.dim) == dim ? ranks : 1;
}

/// A gradient of a tensor that passed through as Partial is whole on every rank.
OperatorStrategy forGradient(OperatorStrategy s) {
  if (s.tensor == kPartialThrough) s.tensor = kReplicated;
  if (s.expert == kPartialThrough) s.expert = kReplicated;
  return s;
}

LocalOperator::Where operandWhere(const LoopNest& nest, const TensorWalk& walk,
                                  OperatorStrategy s) {
  return {operandPlacement(nest, walk, s.tensor), operandPlacement(nest, walk, s.expert)};
}

LocalOperator::Where resultWhere(const LoopNest& nest, const TensorWalk& walk, OperatorStrategy s) {
  return {resultPlacement(nest, walk, s.tensor), resultPlacement(nest, walk, s.expert)};
}

/// A bias is added once to what the ranks sum: where they split the sum, each knows its whole
/// gradient.
bool isGradientOfBias(const Operator& op, size_t output) {
  const bool product =
      op.def->opClass == OpClass::contraction || op.def->opClass == OpClass::convolution;
  return product && op.def->name != "Einsum" && op.outputSlots[output].index >= 2;
}

Placement wholeIfReduced(const LoopNest& nest, Placement placement, int8_t choice) {
  const bool reduced =
      choice >= 0 && nest.axes[static_cast<size_t>(choice)].kind == AxisKind::reduce;
  return reduced && placement == kPartial ? kReplicate : placement;
}

LoopNest withLocalExtents(LoopNest nest, const OperatorStrategy& s, const StageMesh& mesh) {
  if (s.tensor >= 0) nest.axes[static_cast<size_t>(s.tensor)].extent /= mesh.tensor;
  if (s.expert >= 0) nest.axes[static_cast<size_t>(s.expert)].extent /= mesh.expert;
  return nest;
}

/// What came from the ranks of an expert group is grouped by rank and has to be by local expert,
/// and the other way round before it goes back: a copy, read and written (Megatron-Core's
/// `sort_chunks_by_idxs`, in the forward and the backward pass).
double sortedBytes(const LocalOperator& local, const StageMesh& mesh) {
  const std::string_view name = local.work.def->name;
  if (mesh.expert == 1 || (name != "Dispatch" && name != "Combine")) return 0;
  double largest = 0;
  for (const auto* types : {&local.inputs, &local.outputs})
    for (const TensorType& t : *types)
      largest = std::max(largest, static_cast<double>(t.bytes().value));
  return 2 * largest;
}

bool isExpertAxis(const Axis& axis) {
  return axis.name == "experts";
}

/// Whether the tensor's first dimension is that of the experts: an expert's product made it, or
/// elementwise operators from one.
bool isByExpert(const Graph& graph, TensorId id) {
  const OpId producer = graph.tensor(id).producer;
  if (!producer.valid()) return false;
  const Operator& op = graph.op(producer);
  if (op.def->opClass == OpClass::elementwise) return isByExpert(graph, op.inputs.front());
  return op.def->name == "ExpertLinear";
}

/// The axes over which an expert group may split an operator.
std::vector<int8_t> expertAxes(const TrainingModel& model, OpId forward, const ScaledOperator& op,
                               const StageMesh& mesh) {
  std::vector<int8_t> axes;
  for (size_t a = 0; a < op.nest.axes.size(); ++a)
    if (isExpertAxis(op.nest.axes[a]) && splittable(op.nest, static_cast<int8_t>(a), mesh.expert))
      axes.push_back(static_cast<int8_t>(a));
  const Operator& o = model.graph.op(forward);
  if (o.def->opClass == OpClass::elementwise && isByExpert(model.graph, o.inputs.front())) {
    const int8_t axis = splitAxis(op.nest, op.nest.inputs.front().front());
    if (axis != kNoAxis && splittable(op.nest, axis, mesh.expert)) axes.push_back(axis);
  }
  if (axes.empty() && op.batchAxis != kNoAxis) axes.push_back(op.batchAxis);
  return axes;
}

}  // namespace

TensorType scaledType(const TrainingModel& model, TensorId id, int64_t samples) {
  const Tensor& t = model.graph.tensor(id);
  TensorType type = t.type;
  if (t.batchDim < 0) return type;
  int64_t& extent = type.shape[static_cast<size_t>(t.batchDim)];
  const int64_t scaled = checkedMul(extent, samples);
  if (scaled % model.referenceBatch != 0)
    throw Error(ErrorKind::usage,
                "dimension " + std::to_string(extent) + " of tensor '" + t.name +
                    "' does not scale to a micro-batch of " + std::to_string(samples),
                "choose a multiple of the model's batch " + std::to_string(model.referenceBatch));
  extent = scaled / model.referenceBatch;
  return type;
}

ScaledOperator scaleForward(const TrainingModel& model, OpId id, int64_t samples) {
  const Operator& op = model.graph.op(id);
  ScaledOperator scaled;
  scaled.inputs = scaledTypes(model, op.inputs, samples);
  scaled.outputs = scaledTypes(model, op.outputs, samples);
  scaled.nest = op.def->nest({op.attributes, scaled.inputs, scaled.outputs});
  scaled.batchAxis = axisOf(scaled.nest, model, op, [](const Tensor& t) { return t.batchDim; });
  scaled.sequenceAxis =
      axisOf(scaled.nest, model, op, [](const Tensor& t) { return t.sequenceDim; });
  return scaled;
}

ScaledOperator scaleGradient(const TrainingModel& model, const ScaledOperator& forward, OpId id,
                             int64_t samples) {
  const Operator& op = model.graph.op(id);
  ScaledOperator scaled;
  scaled.inputs = scaledTypes(model, op.inputs, samples);
  scaled.outputs = scaledTypes(model, op.outputs, samples);
  scaled.nest = gradientNest(forward.nest, op);
  scaled.batchAxis = forward.batchAxis;
  scaled.sequenceAxis = forward.sequenceAxis;
  return scaled;
}

TensorType placedType(TensorType type, LocalOperator::Where where, const StageMesh& mesh) {
  for (size_t d = 0; d < type.shape.size(); ++d)
    type.shape[d] /=
        shardRanks(where.tensor, d, mesh.tensor) * shardRanks(where.expert, d, mesh.expert);
  return type;
}

bool applicable(const ScaledOperator& op, const OperatorStrategy& s, const StageMesh& mesh) {
  if (s.tensor >= 0 && !splittable(op.nest, s.tensor, mesh.tensor)) return false;
  if (s.expert >= 0 && !splittable(op.nest, s.expert, mesh.expert)) return false;
  if (s.tensor < 0 || s.tensor != s.expert) return true;
  return op.nest.axes[static_cast<size_t>(s.tensor)].extent % (mesh.tensor * mesh.expert) == 0;
}

LocalOperator localise(const TrainingModel& model, OpId id, const ScaledOperator& op,
                       const OperatorStrategy& strategy, const StageMesh& mesh,
                       double forwardFlops) {
  const bool gradient = !model.graph.op(id).outputSlots.empty();
  const OperatorStrategy s = gradient ? forGradient(strategy) : strategy;
  LocalOperator local;
  for (size_t i = 0; i < op.inputs.size(); ++i) {
    local.inputWhere.push_back(operandWhere(op.nest, op.nest.inputs[i], s));
    local.inputs.push_back(placedType(op.inputs[i], local.inputWhere.back(), mesh));
  }
  for (size_t i = 0; i < op.outputs.size(); ++i) {
    LocalOperator::Where where = resultWhere(op.nest, op.nest.outputs[i], s);
    if (gradient && isGradientOfBias(model.graph.op(id), i))
      where = {wholeIfReduced(op.nest, where.tensor, s.tensor),
               wholeIfReduced(op.nest, where.expert, s.expert)};
    local.outputWhere.push_back(where);
    local.outputs.push_back(placedType(op.outputs[i], local.outputWhere.back(), mesh));
  }
  local.work = workOf(model.graph, id, withLocalExtents(op.nest, s, mesh), local.inputs,
                      local.outputs, forwardFlops, model.options.precision);
  local.work.bytes += sortedBytes(local, mesh);
  if (statisticBytes(model.graph.op(id), op.nest, local, s.tensor, mesh.tensor).value > 0) {
    // Partial statistics take a pass of their own before the ranks can share them.
    ++local.work.kernels;
    if (local.work.def->rereads == 0)
      local.work.bytes += static_cast<double>(local.inputs.front().bytes().value);
  }
  return local;
}

std::vector<OperatorStrategy> strategiesOf(const TrainingModel& model, OpId forward,
                                           const ScaledOperator& op, const StageMesh& mesh,
                                           bool sequenceParallel) {
  const OperatorDef& def = *model.graph.op(forward).def;
  std::vector<int8_t> tensorChoices{kReplicated}, expertChoices;
  if (mesh.tensor > 1) {
    for (size_t a = 0; a < op.nest.axes.size(); ++a) {
      const auto axis = static_cast<int8_t>(a);
      if (!sequenceParallel && axis == op.sequenceAxis) continue;
      if (axis == op.batchAxis && op.sequenceAxis != kNoAxis) continue;
      if (def.opClass != OpClass::loss && op.nest.axes[a].kind == AxisKind::normalised) continue;
      if (splittable(op.nest, axis, mesh.tensor)) tensorChoices.push_back(axis);
    }
    if (def.linear && op.inputs.size() == 1) tensorChoices.push_back(kPartialThrough);
  }
  if (mesh.expert > 1) expertChoices = expertAxes(model, forward, op, mesh);
  if (expertChoices.empty()) expertChoices.push_back(kReplicated);

  std::vector<OperatorStrategy> strategies;
  for (int8_t e : expertChoices)
    for (int8_t t : tensorChoices)
      if (const OperatorStrategy s{t, e}; applicable(op, s, mesh)) strategies.push_back(s);
  return strategies;
}

Bytes statisticBytes(const Operator& op, const LoopNest& nest, const LocalOperator& local,
                     int8_t axis, int64_t ranks) {
  if (axis < 0 || nest.axes[static_cast<size_t>(axis)].kind != AxisKind::normalised) return {};
  if (op.def->opClass != OpClass::loss || !op.outputSlots.empty()) return {};
  int64_t elements = 0;
  for (const TensorType& t : local.inputs) elements = std::max(elements, t.elements());
  const int64_t rows = elements / (nest.axes[static_cast<size_t>(axis)].extent / ranks);
  return Bytes(3 * 4 * rows * ranks);
}

}  // namespace meshplan
