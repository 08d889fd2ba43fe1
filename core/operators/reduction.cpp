// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/operators/families.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

std::vector<bool> reducedDims(const Attributes& a, size_t rank) {
  const std::vector<int64_t> axes = a.getInts("axes");
  std::vector<bool> reduced(rank, axes.empty());
  for (int64_t axis : axes) reduced[dimensionIndex(axis, rank)] = true;
  return reduced;
}

double inputElements(const OpContext& c) {
  return static_cast<double>(c.inputs[0].elements());
}

std::vector<TensorType> inferReduce(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  TensorType out{in[0].dtype, {}};
  const std::vector<bool> reduced = reducedDims(a, in[0].shape.size());
  for (size_t i = 0; i < reduced.size(); ++i)
    if (!reduced[i] || a.getInt("keepdims", 1))
      out.shape.push_back(reduced[i] ? 1 : in[0].shape[i]);
  return {out};
}

LoopNest reduceNest(const OpContext& c, AxisKind kind) {
  LoopNest nest;
  TensorWalk in, out;
  const std::vector<bool> reduced = reducedDims(c.attributes, c.inputs[0].shape.size());
  for (size_t i = 0; i < reduced.size(); ++i) {
    const int64_t extent = c.inputs[0].shape[i];
    in.push_back({nest.addAxis(dimName(i), extent, reduced[i] ? kind : AxisKind::parallel)});
    if (!reduced[i])
      out.push_back(in.back());
    else if (c.attributes.getInt("keepdims", 1))
      out.push_back({});
  }
  nest.inputs = {in};
  nest.outputs = {out};
  return nest;
}

LoopNest sumNest(const OpContext& c) {
  return reduceNest(c, AxisKind::reduce);
}
LoopNest statisticNest(const OpContext& c) {
  return reduceNest(c, AxisKind::normalised);
}

/// ArgMax and ArgMin as a reduction over their one axis.
Attributes oneAxis(const Attributes& a) {
  return {{"axes", std::vector<int64_t>{a.getInt("axis", 0)}},
          {"keepdims", a.getInt("keepdims", 1)}};
}

std::vector<TensorType> inferArg(const Attributes& a, Types in) {
  std::vector<TensorType> out = inferReduce(oneAxis(a), in);
  out[0].dtype = DType::i64;
  return out;
}

LoopNest argNest(const OpContext& c) {
  const Attributes attributes = oneAxis(c.attributes);
  return reduceNest({attributes, c.inputs, c.outputs}, AxisKind::opaque);
}

std::vector<TensorType> inferTopK(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  TensorType out = in[0];
  int64_t& extent = out.shape[dimensionIndex(a.getInt("axis", -1), out.shape.size())];
  const int64_t k = a.getInt("k", 1);
  if (k < 1 || k > extent)
    rejectInputs("k is " + std::to_string(k) + " of " + std::to_string(extent));
  extent = k;
  return {out, {DType::i64, out.shape}};
}

LoopNest topKNest(const OpContext& c) {
  LoopNest nest;
  TensorWalk in, out;
  const size_t axis = dimensionIndex(c.attributes.getInt("axis", -1), c.inputs[0].shape.size());
  for (size_t i = 0; i < c.inputs[0].shape.size(); ++i) {
    const AxisKind kind = i == axis ? AxisKind::opaque : AxisKind::parallel;
    in.push_back({nest.addAxis(dimName(i), c.inputs[0].shape[i], kind)});
    out.push_back(i == axis ? DimWalk{nest.addAxis("k", c.outputs[0].shape[i], kind)} : in.back());
  }
  nest.inputs = {in};
  nest.outputs = {out, out};
  return nest;
}

std::vector<TensorType> inferCumSum(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  dimensionIndex(a.getInt("axis", 0), in[0].shape.size());
  return {in[0]};
}

LoopNest cumSumNest(const OpContext& c) {
  LoopNest nest = broadcastNest(c);
  nest.axes[dimensionIndex(c.attributes.getInt("axis", 0), nest.axes.size())].kind =
      AxisKind::opaque;
  return nest;
}

SlotSet needsIndices(const OpContext&, int) {
  return {0, 2};
}
SlotSet needsBoth(const OpContext&, int) {
  return {1, 1};
}

constexpr OperatorDef reduction(std::string_view name, decltype(OperatorDef::nest) nest,
                                decltype(OperatorDef::needs) needs, bool linear = false) {
  OperatorDef def;
  def.name = name;
  def.opClass = OpClass::reduction;
  def.infer = inferReduce;
  def.nest = nest;
  def.flops = inputElements;
  def.gradient = GradientKind::fused;
  def.needs = needs;
  def.linear = linear;
  return def;
}

constexpr OperatorDef ordering(std::string_view name, decltype(OperatorDef::infer) infer,
                               decltype(OperatorDef::nest) nest, GradientKind gradient,
                               decltype(OperatorDef::needs) needs = nullptr) {
  OperatorDef def = reduction(name, nest, needs);
  def.infer = infer;
  def.gradient = gradient;
  return def;
}

constexpr OperatorDef kReductions[] = {
    reduction("ReduceSum", sumNest, nullptr, true),
    reduction("ReduceMean", sumNest, nullptr, true),
    reduction("ReduceMax", statisticNest, needsBoth),
    reduction("ReduceMin", statisticNest, needsBoth),
    reduction("ReduceProd", statisticNest, needsBoth),
    reduction("ReduceL1", sumNest, needsInput),
    reduction("ReduceL2", statisticNest, needsBoth),
    reduction("ReduceSumSquare", sumNest, needsInput),
    reduction("ReduceLogSum", statisticNest, needsBoth),
    reduction("ReduceLogSumExp", statisticNest, needsBoth),
    ordering("ArgMax", inferArg, argNest, GradientKind::none),
    ordering("ArgMin", inferArg, argNest, GradientKind::none),
    ordering("TopK", inferTopK, topKNest, GradientKind::fused, needsIndices),
    ordering("CumSum", inferCumSum, cumSumNest, GradientKind::fused)};

}  // namespace

std::span<const OperatorDef> reductionDefs() {
  return kReductions;
}

}  // namespace meshplan
