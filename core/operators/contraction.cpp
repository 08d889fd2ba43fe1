// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "core/operators/einsum.h"
#include "core/operators/families.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

/// One dimension as blocks x block size, of which only whole blocks are split.
DimWalk addBlocked(LoopNest& nest, std::string_view name, std::string_view blockName,
                   int64_t extent, int64_t block, AxisKind kind) {
  if (block <= 1) return {nest.addAxis(name, extent, kind)};
  const int8_t outer = nest.addAxis(name, std::max<int64_t>(extent / block, 1), kind);
  return {outer, nest.addAxis(blockName, extent / std::max<int64_t>(extent / block, 1), kind)};
}

int64_t blockSize(const Attributes& attributes, std::string_view name, int64_t extent) {
  const int64_t block = attributes.getInt(name, 1);
  if (block < 1 || extent % block != 0)
    rejectInputs("attribute '" + std::string(name) + "' is " + std::to_string(block) +
                 ", which does not divide " + std::to_string(extent));
  return block;
}

struct Features {
  DimWalk in, out;
};

Features addFeatures(LoopNest& nest, const Attributes& attributes, int64_t k, int64_t n) {
  return {addBlocked(nest, "in_features", "in_block", k, attributes.getInt("in_block", 1),
                     AxisKind::reduce),
          addBlocked(nest, "out_features", "out_block", n, attributes.getInt("out_block", 1),
                     AxisKind::parallel)};
}

void checkFeatures(const Attributes& attributes, int64_t k, int64_t n) {
  blockSize(attributes, "in_block", k);
  blockSize(attributes, "out_block", n);
}

std::vector<TensorType> inferLinear(const Attributes& attributes, Types in) {
  expectInputs(in, 2, 3);
  expectRank(in[0], 1);
  expectRank(in[1], 2, 2);
  const bool transposed = attributes.getInt("transposed", 0) != 0;
  const int64_t k = in[1].shape[transposed ? 1 : 0], n = in[1].shape[transposed ? 0 : 1];
  expectEqual(in[0].shape.back(), k, "the input features");
  if (in.size() == 3) expectEqual(in[2].elements(), n, "the bias");
  checkFeatures(attributes, k, n);
  TensorType y = in[0];
  y.shape.back() = n;
  return {y};
}

LoopNest nestLinear(const OpContext& c) {
  LoopNest nest;
  TensorWalk x;
  const Shape& shape = c.inputs[0].shape;
  addRows(nest, x, shape, shape.size() - 1);
  const auto [in, out] = addFeatures(nest, c.attributes, shape.back(), c.outputs[0].shape.back());
  TensorWalk y = x;
  x.push_back(in);
  y.push_back(out);
  const bool transposed = c.attributes.getInt("transposed", 0) != 0;
  nest.inputs = {x, transposed ? TensorWalk{out, in} : TensorWalk{in, out}};
  if (c.inputs.size() == 3) nest.inputs.push_back({out});
  nest.outputs = {y};
  return nest;
}

std::vector<TensorType> inferMatMul(const Attributes&, Types in) {
  expectInputs(in, 2, 2);
  expectRank(in[0], 1);
  expectRank(in[1], 1);
  const Shape &a = in[0].shape, &b = in[1].shape;
  expectEqual(a.back(), b.size() == 1 ? b[0] : b[b.size() - 2], "the inner dimension");
  const Shape leadA(a.begin(), a.end() - std::min<ptrdiff_t>(a.size(), 2));
  const Shape leadB(b.begin(), b.end() - std::min<ptrdiff_t>(b.size(), 2));
  TensorType y{in[0].dtype, broadcast(leadA, leadB)};
  if (a.size() > 1) y.shape.push_back(a[a.size() - 2]);
  if (b.size() > 1) y.shape.push_back(b.back());
  return {y};
}

LoopNest nestMatMul(const OpContext& c) {
  LoopNest nest;
  const Shape &a = c.inputs[0].shape, &b = c.inputs[1].shape;
  const bool rows = a.size() > 1, columns = b.size() > 1;
  Shape lead = c.outputs[0].shape;
  lead.resize(lead.size() - (rows ? 1 : 0) - (columns ? 1 : 0));
  const std::vector<int8_t> dims = addDims(nest, lead);
  const Shape leadA(a.begin(), a.end() - (rows ? 2 : 1));
  const Shape leadB(b.begin(), b.end() - (columns ? 2 : 1));
  TensorWalk walkA = broadcastWalk(leadA, lead, dims), walkB = broadcastWalk(leadB, lead, dims);
  TensorWalk walkY = broadcastWalk(lead, lead, dims);
  const DimWalk inner{nest.addAxis("in_features", a.back(), AxisKind::reduce)};
  if (rows) {
    walkA.push_back({nest.addAxis("rows", a[a.size() - 2])});
    walkY.push_back(walkA.back());
  }
  walkA.push_back(inner);
  walkB.push_back(inner);
  if (columns) {
    walkB.push_back({nest.addAxis("out_features", b.back())});
    walkY.push_back(walkB.back());
  }
  nest.inputs = {walkA, walkB};
  nest.outputs = {walkY};
  return nest;
}

struct GemmDims {
  int64_t m, k, n;
  bool transA, transB;
};

GemmDims gemmDims(const Attributes& attributes, Types in) {
  const bool transA = attributes.getInt("transA", 0) != 0;
  const bool transB = attributes.getInt("transB", 0) != 0;
  return {in[0].shape[transA ? 1 : 0], in[0].shape[transA ? 0 : 1], in[1].shape[transB ? 0 : 1],
          transA, transB};
}

std::vector<TensorType> inferGemm(const Attributes& attributes, Types in) {
  expectInputs(in, 2, 3);
  expectRank(in[0], 2, 2);
  expectRank(in[1], 2, 2);
  const GemmDims d = gemmDims(attributes, in);
  expectEqual(d.k, in[1].shape[d.transB ? 1 : 0], "the inner dimension");
  const Shape y{d.m, d.n};
  if (in.size() == 3 && broadcast(in[2].shape, y) != y)
    rejectInputs("the third input of shape " + shapeText(in[2].shape) + " does not fit " +
                 shapeText(y));
  return {{in[0].dtype, y}};
}

LoopNest nestGemm(const OpContext& c) {
  LoopNest nest;
  const GemmDims d = gemmDims(c.attributes, c.inputs);
  const DimWalk m{nest.addAxis("rows0", d.m)};
  const DimWalk k{nest.addAxis("in_features", d.k, AxisKind::reduce)};
  const DimWalk n{nest.addAxis("out_features", d.n)};
  nest.inputs = {d.transA ? TensorWalk{k, m} : TensorWalk{m, k},
                 d.transB ? TensorWalk{n, k} : TensorWalk{k, n}};
  if (c.inputs.size() == 3)
    nest.inputs.push_back(broadcastWalk(c.inputs[2].shape, {d.m, d.n}, {m.outer, n.outer}));
  nest.outputs = {{m, n}};
  return nest;
}

std::vector<TensorType> inferExpertLinear(const Attributes& attributes, Types in) {
  expectInputs(in, 2, 3);
  expectRank(in[0], 3, 3);
  expectRank(in[1], 3, 3);
  expectEqual(in[0].shape[0], in[1].shape[0], "the number of experts");
  expectEqual(in[0].shape[2], in[1].shape[1], "the input features");
  if (in.size() == 3)
    expectEqual(in[2].elements(), in[1].shape[0] * in[1].shape[2], "the elements of the bias");
  checkFeatures(attributes, in[1].shape[1], in[1].shape[2]);
  return {{in[0].dtype, {in[0].shape[0], in[0].shape[1], in[1].shape[2]}}};
}

LoopNest nestExpertLinear(const OpContext& c) {
  LoopNest nest;
  const Shape &x = c.inputs[0].shape, &w = c.inputs[1].shape;
  const DimWalk e{nest.addAxis("experts", x[0])}, t{nest.addAxis("tokens", x[1])};
  const auto [in, out] = addFeatures(nest, c.attributes, w[1], w[2]);
  nest.inputs = {{e, t, in}, {e, in, out}};
  if (c.inputs.size() == 3) nest.inputs.push_back({e, out});
  nest.outputs = {{e, t, out}};
  return nest;
}

/// The gradient with respect to one factor reads all other factors; that of a bias reads nothing.
SlotSet needsOtherFactors(const OpContext& c, int wrt, size_t factors) {
  if (static_cast<size_t>(wrt) >= factors) return {};
  uint32_t inputs = 0;
  for (size_t i = 0; i < std::min(factors, c.inputs.size()); ++i)
    if (static_cast<int>(i) != wrt) inputs |= 1u << i;
  return {inputs, 0};
}

SlotSet needsOther(const OpContext& c, int wrt) {
  return needsOtherFactors(c, wrt, 2);
}
SlotSet needsAllOthers(const OpContext& c, int wrt) {
  return needsOtherFactors(c, wrt, c.inputs.size());
}

constexpr OperatorDef contraction(std::string_view name, decltype(OperatorDef::infer) infer,
                                  decltype(OperatorDef::nest) nest,
                                  decltype(OperatorDef::needs) needs) {
  OperatorDef def;
  def.name = name;
  def.opClass = OpClass::contraction;
  def.infer = infer;
  def.nest = nest;
  def.gradient = GradientKind::split;
  def.needs = needs;
  return def;
}

constexpr std::array kDefs{
    contraction("Linear", inferLinear, nestLinear, needsOther),
    contraction("MatMul", inferMatMul, nestMatMul, needsOther),
    contraction("Gemm", inferGemm, nestGemm, needsOther),
    contraction("Einsum", inferEinsum, nestEinsum, needsAllOthers),
    contraction("ExpertLinear", inferExpertLinear, nestExpertLinear, needsOther),
};

}  // namespace

std::span<const OperatorDef> contractionDefs() {
  return kDefs;
}

}  // namespace meshplan
