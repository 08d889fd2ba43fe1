// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <numeric>

#include "core/operators/families.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

std::vector<TensorType> inferRouter(const Attributes& attributes, Types in) {
  expectInputs(in, 1, 2);
  expectRank(in[0], 3, 3);
  const int64_t k = attributes.getInt("k", 1);
  Shape shape = in[0].shape;
  if (k < 1 || k > shape[2])
    rejectInputs("cannot choose " + std::to_string(k) + " of " + std::to_string(shape[2]) +
                 " experts");
  if (in.size() == 2) expectEqual(in[1].elements(), shape[2], "the experts");
  shape[2] = k;
  return {{in[0].dtype, shape}, {DType::i64, shape}};
}

LoopNest nestRouter(const OpContext& c) {
  const Shape &x = c.inputs[0].shape, &y = c.outputs[0].shape;
  LoopNest nest;
  const DimWalk b{nest.addAxis("rows0", x[0])}, s{nest.addAxis("rows1", x[1])};
  const DimWalk e{nest.addAxis("experts", x[2], AxisKind::opaque)};
  const DimWalk k{nest.addAxis("choices", y[2], AxisKind::opaque)};
  nest.inputs = {{b, s, e}};
  if (c.inputs.size() == 2) nest.inputs.push_back({e});
  nest.outputs = {{b, s, k}, {b, s, k}};
  return nest;
}

/// Softmax or sigmoid, then one pass per choice.
double flopsRouter(const OpContext& c) {
  return static_cast<double>(c.inputs[0].elements()) *
         (5 + static_cast<double>(c.outputs[0].shape.back()));
}

SlotSet needsRouter(const OpContext&, int) {
  return {0b1, 0b10};
}

/// Whether experts are scored by a sigmoid and chosen with a correction.
Attributes routerKind(const OpContext& c) {
  return {{"corrected", int64_t{c.inputs.size() == 2}}};
}

/// Slots per expert when b x s tokens with k choices each are spread evenly over e experts.
int64_t capacity(int64_t b, int64_t s, int64_t k, int64_t e) {
  if (e < 1) rejectInputs("attribute experts must be positive");
  return ceilDiv(checkedMul(checkedMul(b, s), k), e);
}

/// How the slots of an expert come from the tokens. Where the sequence divides, s = run x (e/gcd)
/// and the slots are b x run x (k/gcd), so that splitting batch or sequence splits the slots; else
/// the sequence stays whole.
struct Slots {
  DimWalk batch, sequence, slots;
};

Slots addSlots(LoopNest& nest, int64_t b, int64_t s, int64_t k, int64_t e, int64_t c) {
  Slots result;
  const int8_t rows = nest.addAxis("rows0", b);
  result.batch = {rows};
  const int64_t common = std::gcd(k, e), spread = e / std::max<int64_t>(common, 1);
  if (spread > 0 && s % spread == 0 && c == b * (s / spread) * (k / common)) {
    const int8_t run = nest.addAxis("rows1", s / spread);
    result.sequence = {run, nest.addAxis("row_block", spread, AxisKind::opaque)};
    result.slots = {rows, run, nest.addAxis("slots", k / common, AxisKind::opaque)};
    return result;
  }
  result.sequence = {nest.addAxis("rows1", s, AxisKind::opaque)};
  const bool whole = b > 0 && c % b == 0;
  const int8_t slots = nest.addAxis("slots", whole ? c / b : c, AxisKind::opaque);
  result.slots = whole ? DimWalk{rows, slots} : DimWalk{slots};
  return result;
}

std::vector<TensorType> inferDispatch(const Attributes& attributes, Types in) {
  expectInputs(in, 2, 2);
  expectRank(in[0], 3, 3);
  expectRank(in[1], 3, 3);
  const Shape &x = in[0].shape, &choice = in[1].shape;
  expectEqual(x[0], choice[0], "the batch");
  expectEqual(x[1], choice[1], "the sequence");
  const int64_t e = attributes.getInt("experts", 1);
  return {{in[0].dtype, {e, capacity(x[0], x[1], choice[2], e), x[2]}}};
}

LoopNest nestDispatch(const OpContext& c) {
  const Shape &x = c.inputs[0].shape, &y = c.outputs[0].shape;
  const int64_t choices = c.inputs[1].shape[2];
  LoopNest nest;
  const Slots t = addSlots(nest, x[0], x[1], choices, y[0], y[1]);
  const DimWalk e{nest.addAxis("experts", y[0], AxisKind::opaque)};
  const DimWalk k{nest.addAxis("choices", choices, AxisKind::opaque)};
  const DimWalk h{nest.addAxis("features", x[2])};
  nest.inputs = {{t.batch, t.sequence, h}, {t.batch, t.sequence, k}};
  nest.outputs = {{e, t.slots, h}};
  return nest;
}

SlotSet needsIndices(const OpContext&, int) {
  return {0b10, 0};
}

std::vector<TensorType> inferCombine(const Attributes&, Types in) {
  expectInputs(in, 3, 3);
  for (const TensorType& t : in) expectRank(t, 3, 3);
  const Shape &y = in[0].shape, &weights = in[1].shape;
  if (weights != in[2].shape) rejectInputs("the weights and the indices differ in shape");
  expectEqual(y[1], capacity(weights[0], weights[1], weights[2], y[0]), "the slots per expert");
  return {{in[0].dtype, {weights[0], weights[1], y[2]}}};
}

LoopNest nestCombine(const OpContext& c) {
  const Shape &y = c.inputs[0].shape, &weights = c.inputs[1].shape;
  LoopNest nest;
  const Slots t = addSlots(nest, weights[0], weights[1], weights[2], y[0], y[1]);
  const DimWalk e{nest.addAxis("experts", y[0], AxisKind::opaque)};
  const DimWalk k{nest.addAxis("choices", weights[2], AxisKind::opaque)};
  const DimWalk h{nest.addAxis("features", y[2])};
  const TensorWalk choice{t.batch, t.sequence, k};
  nest.inputs = {{e, t.slots, h}, choice, choice};
  nest.outputs = {{t.batch, t.sequence, h}};
  return nest;
}

double flopsCombine(const OpContext& c) {
  return 2 * static_cast<double>(c.inputs[0].elements());
}
double flopsNone(const OpContext&) {
  return 0;
}

constexpr OperatorDef moe(std::string_view name, decltype(OperatorDef::infer) infer,
                          decltype(OperatorDef::nest) nest, decltype(OperatorDef::flops) flops,
                          decltype(OperatorDef::needs) needs) {
  OperatorDef def;
  def.name = name;
  def.opClass = OpClass::moe;
  def.infer = infer;
  def.nest = nest;
  def.flops = flops;
  def.gradient = GradientKind::fused;
  def.needs = needs;
  return def;
}

constexpr OperatorDef router() {
  OperatorDef def = moe("TopKRouter", inferRouter, nestRouter, flopsRouter, needsRouter);
  def.gradientAttributes = routerKind;
  return def;
}

constexpr std::array kDefs{
    router(),
    moe("Dispatch", inferDispatch, nestDispatch, flopsNone, needsIndices),
    moe("Combine", inferCombine, nestCombine, flopsCombine, needsInputs),
};

}  // namespace

std::span<const OperatorDef> moeDefs() {
  return kDefs;
}

}  // namespace meshplan
