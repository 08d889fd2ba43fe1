// SPDX-License-Identifier: Apache-2.0
#include "core/work.h"

#include <algorithm>

#include "core/hash.h"

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

double area(const std::vector<int64_t>& values) {
  double product = 1;
  for (int64_t v : values) product *= static_cast<double>(v);
  return product;
}

double kernelAreaOf(const Operator& op, std::span<const TensorType> inputs,
                    std::span<const TensorType> outputs) {
  const TensorType* weight = slotType(op, inputs, 1);
  for (size_t i = 0; i < op.outputSlots.size(); ++i)
    if (op.outputSlots[i] == Slot{Slot::inputGradient, 1}) weight = &outputs[i];
  if (!weight || weight->shape.size() < 2) return 0;
  return area({weight->shape.begin() + 2, weight->shape.end()});
}

bool isActivation(const Slot& slot) {
  return slot.index == 0 || slot.kind == Slot::output || slot.kind == Slot::outputGradient;
}

/// Bytes of a convolution's tensors over the images: all but weights and biases.
double activationBytes(const Operator& op, std::span<const TensorType> inputs,
                       std::span<const TensorType> outputs) {
  if (op.inputSlots.empty()) return totalBytes(inputs.first(1)) + totalBytes(outputs);
  double bytes = 0;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (isActivation(op.inputSlots[i])) bytes += static_cast<double>(inputs[i].bytes().value);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (isActivation(op.outputSlots[i])) bytes += static_cast<double>(outputs[i].bytes().value);
  return bytes;
}

/// Frameworks keep the channels of 16-bit images last and those of fp32 images first, unless the
/// operator says otherwise.
bool channelsFirst(const Attributes& attributes, Precision precision) {
  const std::string layout = attributes.getString("layout", "");
  return layout.empty() ? !isMixed(precision) : layout == "NCHW";
}

/// Positions that no kernel position meets are not read: a 1 x 1 kernel of stride 2 reads a
/// quarter.
double unreadBytes(const Operator& op, std::span<const TensorType> inputs, double touched) {
  const TensorType* x = slotType(op, inputs, 0);
  return x && touched < 1 ? (1 - touched) * static_cast<double>(x->bytes().value) : 0;
}

void describeConvolution(const Operator& op, const Attributes& attributes,
                         std::span<const TensorType> inputs, std::span<const TensorType> outputs,
                         Precision precision, OperatorWork& work) {
  work.strideArea = area(attributes.getInts("strides"));
  const double kernel = kernelAreaOf(op, inputs, outputs);
  if (work.contraction.batch == 1 && work.strideArea == 1 &&
      area(attributes.getInts("dilations")) == 1)
    work.kernelArea = kernel;
  work.bytes -= unreadBytes(op, inputs, kernel / work.strideArea);
  if (channelsFirst(attributes, precision))
    work.transposedBytes = 2 * activationBytes(op, inputs, outputs);
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
  return (1 + op.def->rereads) * totalBytes(inputs) + writes * totalBytes(outputs);
}

/// Megatron-Core (`TEGroupedMLP._apply_bias`) adds the bias after an expert's last product,
/// weighted by the token's probability, in fp32 and one kernel after another: product, sum,
/// concatenation and a cast move 4 + 10 + 8 + 6 bytes per 16-bit element, and their gradients 6 + 6
/// + 12 + 12.
constexpr double kWeightedBiasPasses = 14, kWeightedBiasGradientPasses = 18;

/// The gradient of a bias is summed in a kernel of its own. A convolution's bias is added in one
/// too, a product's where the attribute `separate_bias` says so.
double biasBytes(const Operator& op, const Attributes& attributes,
                 std::span<const TensorType> inputs, std::span<const TensorType> outputs) {
  const bool stated = attributes.getInt("separate_bias", 0) != 0;
  const bool weighted = stated && op.def->name == "ExpertLinear";
  if (op.inputSlots.empty()) {
    const bool separate = op.def->opClass == OpClass::convolution || stated;
    const double passes = weighted ? kWeightedBiasPasses : 2;
    return separate && inputs.size() > 2 ? passes * static_cast<double>(outputs[0].bytes().value)
                                         : 0;
  }
  const bool ofBias = std::any_of(op.outputSlots.begin(), op.outputSlots.end(), [](Slot s) {
    return s == Slot{Slot::inputGradient, 2};
  });
  if (!ofBias) return 0;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (op.inputSlots[i].kind == Slot::outputGradient)
      return (weighted ? kWeightedBiasGradientPasses : 1) *
             static_cast<double>(inputs[i].bytes().value);
  return 0;
}

/// Whether a gradient operator has nothing to do: see OperatorDef::handsGradientOn.
bool isHandedOn(const Operator& op, std::span<const TensorType> inputs,
                std::span<const TensorType> outputs) {
  return op.def->handsGradientOn && !inputs.empty() &&
         std::all_of(outputs.begin(), outputs.end(),
                     [&](const TensorType& t) { return t.shape == inputs[0].shape; });
}

/// An elementwise operator with attribute `fused` runs inside its first input's producer: it reads
/// its other inputs, and its gradient writes theirs.
void fuse(std::span<const TensorType> inputs, std::span<const TensorType> outputs, bool gradient,
          OperatorWork& work) {
  const auto others = gradient ? outputs : inputs;
  work.bytes = others.size() > 1 ? totalBytes(others.subspan(1)) : 0;
  work.kernels = 0;
}

uint64_t signatureOf(const Operator& op, const Attributes& attributes,
                     std::span<const TensorType> inputs, std::span<const TensorType> outputs) {
  Hash hash;
  for (const auto& [name, value] : attributes) {
    hash.add(std::string_view(name));
    hash.add(value);
  }
  for (const auto* slots : {&op.inputSlots, &op.outputSlots})
    for (Slot s : *slots) hash.add((static_cast<int>(s.kind) << 8) + s.index);
  for (auto types : {inputs, outputs})
    for (const TensorType& t : types) hash.add(t);
  return hash.value();
}

}  // namespace

uint64_t workKey(const OperatorWork& work) {
  Hash hash;
  hash.add(work.def->name);
  hash.add(work.phase);
  hash.add(work.compute);
  hash.add(work.signature);
  for (double amount : {work.flops, work.bytes, work.outputElements, work.accumulated})
    hash.add(amount);
  hash.add(work.kernels);
  return hash.value();
}

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
  work.signature = signatureOf(op, attributes, inputs, outputs);
  for (const TensorType& t : outputs) work.outputElements += static_cast<double>(t.elements());
  if (isMatrixWork(*op.def)) work.contraction = contractionOf(nest);
  if (op.def->opClass == OpClass::attention) work.attention = attentionOf(op, attributes, inputs);
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
  if (op.def->opClass == OpClass::convolution)
    describeConvolution(op, attributes, inputs, outputs, precision, work);
  if (isMatrixWork(*op.def)) work.biasBytes = biasBytes(op, attributes, inputs, outputs);
  const auto repeat = static_cast<double>(op.repeat);
  work.flops *= repeat;
  work.bytes *= repeat;
  work.transposedBytes *= repeat;
  work.biasBytes *= repeat;
  work.kernels = op.repeat;
  if (op.def->opClass == OpClass::elementwise && attributes.getInt("fused", 0) != 0)
    fuse(inputs, outputs, gradient, work);
  else if (gradient && isHandedOn(op, inputs, outputs))
    work.flops = work.bytes = 0, work.kernels = 0;
  if (op.def->opClass == OpClass::recurrent) describeSteps(op, inputs, work);
  return work;
}

}  // namespace meshplan
