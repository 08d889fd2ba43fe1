// SPDX-License-Identifier: Apache-2.0
#include "core/work.h"

#include <algorithm>

namespace meshplan {
namespace {

bool walks(const TensorWalk& walk, int8_t axis) {
  return std::any_of(walk.begin(), walk.end(), [&](const DimWalk& d) { return d.has(axis); });
}

bool isMatrixWork(const OperatorDef& def) {
  return def.opClass == OpClass::contraction || def.opClass == OpClass::convolution;
}

double product(const LoopNest& nest) {
  double p = 1;
  for (const Axis& a : nest.axes) p *= static_cast<double>(a.extent);
  return p;
}

double totalBytes(std::span<const TensorType> types) {
  double bytes = 0;
  for (const TensorType& t : types) bytes += static_cast<double>(t.bytes().value);
  return bytes;
}

const TensorType* slotType(const Operator& op, std::span<const TensorType> inputs, uint8_t index) {
  if (op.inputSlots.empty()) return index < inputs.size() ? &inputs[index] : nullptr;
  for (size_t i = 0; i < op.inputSlots.size(); ++i)
    if (op.inputSlots[i] == Slot{Slot::input, index}) return &inputs[i];
  return nullptr;
}

AttentionShape attentionOf(const Operator& op, const Attributes& attributes,
                           std::span<const TensorType> inputs) {
  AttentionShape shape;
  const TensorType *q = slotType(op, inputs, 0), *k = slotType(op, inputs, 1),
                   *v = slotType(op, inputs, 2);
  if (!q || !k || !v || q->shape.size() != 4 || k->shape.size() != 4 || v->shape.size() != 4)
    return shape;
  const auto extent = [](const TensorType* t, size_t d) {
    return static_cast<double>(t->shape[d]);
  };
  shape.batch = extent(q, 0);
  shape.heads = extent(q, 1);
  shape.kvHeads = extent(k, 1);
  shape.queryLength = extent(q, 2);
  shape.keyLength = extent(k, 2);
  shape.headDim = extent(q, 3);
  shape.valueDim = extent(v, 3);
  shape.causal = attributes.getInt("causal", 0) != 0;
  const std::string implementation = attributes.getString("implementation", "flash");
  shape.firstFlash = implementation == "flash-1";
  shape.flash = implementation == "flash" || shape.firstFlash;
  shape.fusedSoftmax = implementation == "fused-softmax";
  shape.dropout = attributes.getFloat("dropout", 0) > 0;
  return shape;
}

/// A step's product of the hidden state with all gates, for all directions at once; one launch per
/// step, because each waits for the one before.
void describeSteps(const Operator& op, std::span<const TensorType> inputs, OperatorWork& work) {
  const TensorType *x = slotType(op, inputs, 0), *hidden = slotType(op, inputs, 2);
  if (!x || !hidden) return;
  const auto extent = [](const TensorType* t, size_t d) {
    return static_cast<double>(t->shape[d]);
  };
  work.contraction = {extent(hidden, 0), extent(x, 1), extent(hidden, 1), extent(hidden, 2)};
  work.kernels = checkedMul(op.repeat, std::max<int64_t>(1, x->shape[0]));
}

bool allOnes(const std::vector<int64_t>& values) {
  return std::all_of(values.begin(), values.end(), [](int64_t v) { return v == 1; });
}

double kernelAreaOf(const Operator& op, const Attributes& attributes,
                    std::span<const TensorType> inputs, std::span<const TensorType> outputs) {
  if (!allOnes(attributes.getInts("strides")) || !allOnes(attributes.getInts("dilations")))
    return 0;
  const TensorType* weight = slotType(op, inputs, 1);
  for (size_t i = 0; i < op.outputSlots.size(); ++i)
    if (op.outputSlots[i] == Slot{Slot::inputGradient, 1}) weight = &outputs[i];
  if (!weight) return 0;
  double area = 1;
  for (size_t d = 2; d < weight->shape.size(); ++d) area *= static_cast<double>(weight->shape[d]);
  return area;
}

/// A contraction's gradient operator costs the forward FLOPs once per operand it differentiates (a
/// bias is free).
double gradientFlops(const Operator& op, const Attributes& attributes, double forward) {
  if (!isMatrixWork(*op.def)) return forward * backwardRatio(*op.def, attributes);
  const auto operands = std::count_if(op.outputSlots.begin(), op.outputSlots.end(),
                                      [](Slot s) { return s.index < 2; });
  return forward * static_cast<double>(operands);
}

double gradientBytes(const Operator& op, std::span<const TensorType> inputs,
                     std::span<const TensorType> outputs) {
  // Weight gradients are accumulated over micro-batches: read and written.
  const double writes = op.phase == Phase::backwardWeight ? 2 : 1;
  return totalBytes(inputs) + writes * totalBytes(outputs);
}

}  // namespace

LoopNest gradientNest(const LoopNest& forward, const Operator& gradient) {
  LoopNest nest;
  nest.axes = forward.axes;
  const auto walkOf = [&](Slot s) {
    const bool ofInput = s.kind == Slot::input || s.kind == Slot::inputGradient;
    return ofInput ? forward.inputs[s.index] : forward.outputs[s.index];
  };
  for (Slot s : gradient.inputSlots) nest.inputs.push_back(walkOf(s));
  for (Slot s : gradient.outputSlots) nest.outputs.push_back(walkOf(s));
  return nest;
}

ContractionShape contractionOf(const LoopNest& nest) {
  ContractionShape shape;
  if (nest.inputs.empty() || nest.outputs.empty()) return shape;
  const TensorWalk none;
  const TensorWalk& first = nest.inputs[0];
  const TensorWalk& second = nest.inputs.size() > 1 ? nest.inputs[1] : none;
  for (size_t i = 0; i < nest.axes.size(); ++i) {
    const auto axis = static_cast<int8_t>(i);
    const auto extent = static_cast<double>(nest.axes[i].extent);
    const bool a = walks(first, axis), b = walks(second, axis), out = walks(nest.outputs[0], axis);
    if (out && a && b)
      shape.batch *= extent;
    else if (out && b)
      shape.n *= extent;
    else if (out)
      shape.m *= extent;
    else
      shape.k *= extent;
  }
  return shape;
}

OperatorWork workOf(const Graph& graph, OpId id, const LoopNest& nest,
                    std::span<const TensorType> inputs, std::span<const TensorType> outputs,
                    double forwardFlopsLocal, Precision precision) {
  const Operator& op = graph.op(id);
  const bool gradient = !op.outputSlots.empty();
  const Attributes& attributes = gradient ? graph.op(op.forward).attributes : op.attributes;
  OperatorWork work;
  work.def = op.def;
  work.phase = op.phase;
  work.compute = computeDType(precision);
  for (const TensorType& t : outputs) work.outputElements += static_cast<double>(t.elements());
  if (isMatrixWork(*op.def)) work.contraction = contractionOf(nest);
  if (op.def->opClass == OpClass::attention) work.attention = attentionOf(op, attributes, inputs);
  if (op.def->opClass == OpClass::convolution && work.contraction.batch == 1)
    work.kernelArea = kernelAreaOf(op, attributes, inputs, outputs);
  if (gradient) {
    work.flops = gradientFlops(op, attributes, forwardFlopsLocal);
    work.bytes = op.def->opClass == OpClass::view ? 0 : gradientBytes(op, inputs, outputs);
  } else {
    const OpContext context{attributes, inputs, outputs};
    work.flops = isMatrixWork(*op.def) && !op.def->flops ? 2 * product(nest)
                                                         : forwardFlops(*op.def, context).value;
    work.bytes =
        op.phase == Phase::update ? totalBytes(inputs) * 2 : forwardBytes(*op.def, context);
  }
  if (op.phase == Phase::backwardWeight) work.accumulated = totalBytes(outputs);
  const auto repeat = static_cast<double>(op.repeat);
  work.flops *= repeat;
  work.bytes *= repeat;
  work.kernels = op.repeat;
  if (op.def->opClass == OpClass::recurrent) describeSteps(op, inputs, work);
  return work;
}

}  // namespace meshplan
