// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "core/operators/families.h"
#include "core/operators/support.h"
#include "core/operators/window.h"

namespace meshplan {
namespace {

std::vector<TensorType> inferPool(const Attributes& attributes, Types in) {
  expectInputs(in, 1, 1);
  expectRank(in[0], 3);
  const Window window(attributes, attributes.getInts("kernel_shape"));
  const Shape spatial = window.slide(spatialExtents(in[0].shape));
  TensorType y{in[0].dtype, {in[0].shape[0], in[0].shape[1]}};
  y.shape.insert(y.shape.end(), spatial.begin(), spatial.end());
  std::vector<TensorType> outputs{y};
  if (attributes.getInt("outputs", 1) > 1) outputs.push_back({DType::i64, y.shape});
  return outputs;
}

std::vector<TensorType> inferGlobalPool(const Attributes&, Types in) {
  expectInputs(in, 1, 1);
  expectRank(in[0], 2);
  TensorType y = in[0];
  for (size_t i = 2; i < y.shape.size(); ++i) y.shape[i] = 1;
  return {y};
}

LoopNest nestPool(const OpContext& c) {
  LoopNest nest;
  const Shape& y = c.outputs[0].shape;
  TensorWalk walk{{nest.addAxis("batch", y[0])}, {nest.addAxis("channels", y[1])}};
  for (size_t i = 2; i < y.size(); ++i)
    walk.push_back({nest.addAxis(spatialName(i - 2, y.size() - 2), y[i], AxisKind::halo)});
  nest.inputs = {walk};
  nest.outputs.assign(c.outputs.size(), walk);
  return nest;
}

LoopNest nestGlobalPool(const OpContext& c, AxisKind spatialKind) {
  LoopNest nest;
  const Shape& x = c.inputs[0].shape;
  TensorWalk in{{nest.addAxis("batch", x[0])}, {nest.addAxis("channels", x[1])}};
  TensorWalk out = in;
  for (size_t i = 2; i < x.size(); ++i) {
    in.push_back({nest.addAxis(spatialName(i - 2, x.size() - 2), x[i], spatialKind)});
    out.push_back({});
  }
  nest.inputs = {in};
  nest.outputs = {out};
  return nest;
}

LoopNest nestGlobalAverage(const OpContext& c) {
  return nestGlobalPool(c, AxisKind::reduce);
}
LoopNest nestGlobalOther(const OpContext& c) {
  return nestGlobalPool(c, AxisKind::opaque);
}

double flopsPool(const OpContext& c) {
  double window = 1;
  for (int64_t k : c.attributes.getInts("kernel_shape")) window *= static_cast<double>(k);
  return static_cast<double>(c.outputs[0].elements()) * window;
}

double flopsGlobalPool(const OpContext& c) {
  return static_cast<double>(c.inputs[0].elements());
}

SlotSet needsBoth(const OpContext&, int) {
  return {1, 1};
}

constexpr OperatorDef pooling(std::string_view name, bool global, bool average) {
  OperatorDef def;
  def.name = name;
  def.opClass = OpClass::reduction;
  def.infer = global ? inferGlobalPool : inferPool;
  def.nest = !global ? nestPool : average ? nestGlobalAverage : nestGlobalOther;
  def.flops = global ? flopsGlobalPool : flopsPool;
  def.gradient = GradientKind::fused;
  def.needs = average ? nullptr : needsBoth;
  return def;
}

constexpr std::array kDefs{
    pooling("MaxPool", false, false),      pooling("AveragePool", false, true),
    pooling("LpPool", false, false),       pooling("GlobalAveragePool", true, true),
    pooling("GlobalMaxPool", true, false), pooling("GlobalLpPool", true, false)};

}  // namespace

std::span<const OperatorDef> poolingDefs() {
  return kDefs;
}

}  // namespace meshplan
