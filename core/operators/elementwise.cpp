// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "core/operators/families.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

std::vector<TensorType> inferUnary(const Attributes&, Types in) {
  expectInputs(in, 1, 1);
  return {in[0]};
}

std::vector<TensorType> inferTest(const Attributes&, Types in) {
  expectInputs(in, 1, 1);
  return {{DType::boolean, in[0].shape}};
}

std::vector<TensorType> inferCast(const Attributes& attributes, Types in) {
  expectInputs(in, 1, 1);
  return {{parseDType(attributes.getString("to", "fp32")), in[0].shape}};
}

Shape broadcastAll(Types in) {
  Shape shape = in[0].shape;
  for (const TensorType& t : in) shape = broadcast(shape, t.shape);
  return shape;
}

std::vector<TensorType> inferVariadic(const Attributes&, Types in) {
  expectInputs(in, 1, 1 << 16);
  return {{in[0].dtype, broadcastAll(in)}};
}

std::vector<TensorType> inferBinary(const Attributes&, Types in) {
  expectInputs(in, 2, 2);
  return {{in[0].dtype, broadcastAll(in)}};
}

std::vector<TensorType> inferComparison(const Attributes&, Types in) {
  expectInputs(in, 2, 2);
  return {{DType::boolean, broadcastAll(in)}};
}

std::vector<TensorType> inferWhere(const Attributes&, Types in) {
  expectInputs(in, 3, 3);
  return {{in[1].dtype, broadcastAll(in)}};
}

std::vector<TensorType> inferDropout(const Attributes&, Types in) {
  expectInputs(in, 1, 1);
  return {in[0], {DType::u8, in[0].shape}};
}

std::vector<TensorType> inferGated(const Attributes&, Types in) {
  expectInputs(in, 1, 1);
  expectRank(in[0], 1);
  if (in[0].shape.back() % 2 != 0)
    rejectInputs("a gated activation needs an even last dimension, not " +
                 std::to_string(in[0].shape.back()));
  TensorType y = in[0];
  y.shape.back() /= 2;
  return {y};
}

LoopNest nestGated(const OpContext& c) {
  LoopNest nest;
  TensorWalk y;
  const Shape& shape = c.outputs[0].shape;
  addRows(nest, y, shape, shape.size() - 1);
  TensorWalk x = y;
  const int8_t features = nest.addAxis("features", shape.back());
  x.push_back({features, nest.addAxis("gate", 2, AxisKind::opaque)});
  y.push_back({features});
  nest.inputs = {x};
  nest.outputs = {y};
  return nest;
}

std::vector<TensorType> inferRotary(const Attributes&, Types in) {
  expectInputs(in, 1, 1);
  expectRank(in[0], 4, 4);
  return {in[0]};
}

LoopNest nestRotary(const OpContext& c) {
  LoopNest nest;
  const Shape& x = c.inputs[0].shape;
  const TensorWalk walk{{nest.addAxis("batch", x[0])},
                        {nest.addAxis("heads", x[1])},
                        {nest.addAxis("queries", x[2])},
                        {nest.addAxis("head_dim", x[3], AxisKind::opaque)}};
  nest.inputs = {walk};
  nest.outputs = {walk};
  return nest;
}

/// Two multiplications and an addition per element.
double flopsRotary(const OpContext& c) {
  return 3 * static_cast<double>(c.inputs[0].elements());
}

SlotSet needsOther(const OpContext&, int wrt) {
  return {wrt == 0 ? 0b10u : 0b01u, 0};
}
SlotSet needsMask(const OpContext&, int) {
  return {0, 0b10};
}

constexpr OperatorDef elementwise(std::string_view name, decltype(OperatorDef::infer) infer,
                                  decltype(OperatorDef::needs) needs = nullptr) {
  OperatorDef def;
  def.name = name;
  def.opClass = OpClass::elementwise;
  def.infer = infer;
  def.nest = broadcastNest;
  def.gradient = GradientKind::fused;
  def.needs = needs;
  return def;
}

constexpr OperatorDef linear(std::string_view name, decltype(OperatorDef::infer) infer) {
  OperatorDef def = elementwise(name, infer);
  def.linear = true;
  return def;
}

constexpr OperatorDef constantWise(std::string_view name, decltype(OperatorDef::infer) infer) {
  OperatorDef def = elementwise(name, infer);
  def.gradient = GradientKind::none;
  return def;
}

constexpr OperatorDef gated(std::string_view name) {
  OperatorDef def = elementwise(name, inferGated, needsInput);
  def.nest = nestGated;
  return def;
}

constexpr OperatorDef handedOn(std::string_view name, decltype(OperatorDef::infer) infer) {
  OperatorDef def = linear(name, infer);
  def.handsGradientOn = true;
  return def;
}

Attributes countOperands(const OpContext& c) {
  return {{"operands", static_cast<int64_t>(c.inputs.size())}};
}

constexpr OperatorDef mean() {
  OperatorDef def = linear("Mean", inferVariadic);
  def.gradientAttributes = countOperands;
  return def;
}

constexpr OperatorDef rotary() {
  OperatorDef def = elementwise("Rotary", inferRotary);
  def.nest = nestRotary;
  def.flops = flopsRotary;
  return def;
}

constexpr std::array kDefs{
    elementwise("Relu", inferUnary, needsOutput),
    elementwise("Sigmoid", inferUnary, needsOutput),
    elementwise("Tanh", inferUnary, needsOutput),
    elementwise("Exp", inferUnary, needsOutput),
    elementwise("Sqrt", inferUnary, needsOutput),
    elementwise("Reciprocal", inferUnary, needsOutput),
    elementwise("Elu", inferUnary, needsOutput),
    elementwise("Tan", inferUnary, needsOutput),
    elementwise("Gelu", inferUnary, needsInput),
    elementwise("QuickGelu", inferUnary, needsInput),
    elementwise("Silu", inferUnary, needsInput),
    elementwise("Swish", inferUnary, needsInput),
    elementwise("Mish", inferUnary, needsInput),
    elementwise("Erf", inferUnary, needsInput),
    elementwise("Log", inferUnary, needsInput),
    elementwise("Abs", inferUnary, needsInput),
    elementwise("Clip", inferUnary, needsInput),
    elementwise("LeakyRelu", inferUnary, needsInput),
    elementwise("ThresholdedRelu", inferUnary, needsInput),
    elementwise("Celu", inferUnary, needsInput),
    elementwise("Selu", inferUnary, needsOutput),
    elementwise("HardSigmoid", inferUnary, needsInput),
    elementwise("HardSwish", inferUnary, needsInput),
    elementwise("Softplus", inferUnary, needsInput),
    elementwise("Softsign", inferUnary, needsInput),
    elementwise("Shrink", inferUnary, needsInput),
    elementwise("Sin", inferUnary, needsInput),
    elementwise("Cos", inferUnary, needsInput),
    elementwise("Sinh", inferUnary, needsInput),
    elementwise("Cosh", inferUnary, needsInput),
    elementwise("Asin", inferUnary, needsInput),
    elementwise("Acos", inferUnary, needsInput),
    elementwise("Atan", inferUnary, needsInput),
    elementwise("Asinh", inferUnary, needsInput),
    elementwise("Acosh", inferUnary, needsInput),
    elementwise("Atanh", inferUnary, needsInput),
    linear("Neg", inferUnary),
    handedOn("Identity", inferUnary),
    linear("Scale", inferUnary),
    linear("Cast", inferCast),
    constantWise("Sign", inferUnary),
    constantWise("Floor", inferUnary),
    constantWise("Ceil", inferUnary),
    constantWise("Round", inferUnary),
    constantWise("Not", inferUnary),
    constantWise("BitwiseNot", inferUnary),
    constantWise("IsNaN", inferTest),
    constantWise("IsInf", inferTest),
    handedOn("Add", inferBinary),
    linear("Sub", inferBinary),
    elementwise("Mul", inferBinary, needsOther),
    elementwise("Div", inferBinary, needsInputs),
    elementwise("Pow", inferBinary, needsInputs),
    constantWise("Mod", inferBinary),
    constantWise("BitShift", inferBinary),
    constantWise("BitwiseAnd", inferBinary),
    constantWise("BitwiseOr", inferBinary),
    constantWise("BitwiseXor", inferBinary),
    constantWise("And", inferComparison),
    constantWise("Or", inferComparison),
    constantWise("Xor", inferComparison),
    constantWise("Equal", inferComparison),
    constantWise("Less", inferComparison),
    constantWise("LessOrEqual", inferComparison),
    constantWise("Greater", inferComparison),
    constantWise("GreaterOrEqual", inferComparison),
    handedOn("Sum", inferVariadic),
    mean(),
    elementwise("Max", inferVariadic, needsInputs),
    elementwise("Min", inferVariadic, needsInputs),
    elementwise("Where", inferWhere, needsInput),
    elementwise("PRelu", inferBinary, needsInputs),
    elementwise("Dropout", inferDropout, needsMask),
    gated("SwiGLU"),
    gated("GeGLU"),
    rotary(),
};

}  // namespace

std::span<const OperatorDef> elementwiseDefs() {
  return kDefs;
}

}  // namespace meshplan
