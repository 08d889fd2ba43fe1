// SPDX-License-Identifier: Apache-2.0
#include "core/operators/families.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

/// Extents of x[s,b,i], w[d,g·h,i], r[d,g·h,h].
struct Extents {
  int64_t s, b, i, d, gates, h;
};

Extents extentsOf(Types in) {
  return {in[0].shape[0], in[0].shape[1], in[0].shape[2],
          in[1].shape[0], in[1].shape[1], in[2].shape[2]};
}

std::vector<TensorType> inferGates(Types in, int64_t gates, bool cell) {
  expectInputs(in, 3, 6);
  for (size_t k = 0; k < 3; ++k) expectRank(in[k], 3, 3);
  const Extents e = extentsOf(in);
  expectEqual(e.i, in[1].shape[2], "the input size");
  expectEqual(e.d, in[2].shape[0], "the number of directions");
  expectEqual(e.gates, in[2].shape[1], "the gates");
  expectEqual(e.gates, checkedMul(gates, e.h), "the hidden size times the gates");
  std::vector<TensorType> out{{in[0].dtype, {e.s, e.d, e.b, e.h}}, {in[0].dtype, {e.d, e.b, e.h}}};
  if (cell) out.push_back(out[1]);
  return out;
}

std::vector<TensorType> inferLstm(const Attributes&, Types in) {
  return inferGates(in, 4, true);
}
std::vector<TensorType> inferGru(const Attributes&, Types in) {
  return inferGates(in, 3, false);
}
std::vector<TensorType> inferRnn(const Attributes&, Types in) {
  return inferGates(in, 1, false);
}

/// Every step depends on the one before and on all of the hidden state: only the batch and the
/// directions are parallel.
LoopNest recurrentNest(const OpContext& c) {
  const Extents e = extentsOf(c.inputs);
  LoopNest nest;
  const int8_t b = nest.addAxis("b", e.b), d = nest.addAxis("d", e.d);
  const int8_t s = nest.addAxis("s", e.s, AxisKind::opaque);
  const int8_t i = nest.addAxis("i", e.i, AxisKind::opaque);
  const int8_t gates = nest.addAxis("gates", e.gates, AxisKind::opaque);
  const int8_t h = nest.addAxis("h", e.h, AxisKind::opaque);
  nest.inputs = {{{s}, {b}, {i}}, {{d}, {gates}, {i}}, {{d}, {gates}, {h}}};
  if (c.attributes.getInt("has_bias", 0)) {
    const int8_t both = nest.addAxis("biases", 2 * e.gates, AxisKind::opaque);
    nest.inputs.push_back({{d}, {both}});
  }
  while (nest.inputs.size() < c.inputs.size()) nest.inputs.push_back({{d}, {b}, {h}});
  nest.outputs = {{{s}, {d}, {b}, {h}}};
  while (nest.outputs.size() < c.outputs.size()) nest.outputs.push_back({{d}, {b}, {h}});
  return nest;
}

/// Per step and direction the products of the input and of the hidden state with all gates, and
/// about eight elementwise operations per gate value.
double recurrentFlops(const OpContext& c) {
  const Extents e = extentsOf(c.inputs);
  const double cells = static_cast<double>(e.s) * static_cast<double>(e.b) *
                       static_cast<double>(e.d) * static_cast<double>(e.gates);
  return cells * (2 * static_cast<double>(e.i + e.h) + 8);
}

SlotSet needsAll(const OpContext& c, int wrt) {
  return {needsInputs(c, wrt).inputs, 1};
}

constexpr OperatorDef recurrent(std::string_view name, decltype(OperatorDef::infer) infer) {
  OperatorDef def;
  def.name = name;
  def.opClass = OpClass::recurrent;
  def.infer = infer;
  def.nest = recurrentNest;
  def.flops = recurrentFlops;
  def.gradient = GradientKind::fused;
  def.needs = needsAll;
  def.backwardFlops = 2;
  return def;
}

constexpr OperatorDef kRecurrent[] = {recurrent("LSTM", inferLstm), recurrent("GRU", inferGru),
                                      recurrent("RNN", inferRnn)};

}  // namespace

std::span<const OperatorDef> recurrentDefs() {
  return kRecurrent;
}

}  // namespace meshplan
