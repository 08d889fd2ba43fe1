// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "core/operators/families.h"
#include "core/operators/support.h"
#include "core/operators/window.h"

namespace meshplan {
namespace {

void checkConv(Types in) {
  expectInputs(in, 2, 3);
  expectRank(in[0], 3);
  expectRank(in[1], in[0].shape.size(), in[0].shape.size());
}

void checkBias(Types in, int64_t channels) {
  if (in.size() == 3) expectEqual(in[2].elements(), channels, "the bias");
}

Shape withSpatial(int64_t batch, int64_t channels, const Shape& spatial) {
  Shape shape{batch, channels};
  shape.insert(shape.end(), spatial.begin(), spatial.end());
  return shape;
}

/// Groups follow from the shapes, so that a shard of whole groups is a smaller convolution of the
/// same kind.
int64_t groupsOf(int64_t channels, int64_t perGroup) {
  return perGroup > 0 ? std::max<int64_t>(channels / perGroup, 1) : 1;
}

std::vector<TensorType> inferConv(const Attributes& attributes, Types in) {
  checkConv(in);
  const Shape &x = in[0].shape, &w = in[1].shape;
  if (w[1] < 1 || x[1] % w[1] != 0 || w[0] % groupsOf(x[1], w[1]) != 0 ||
      attributes.getInt("group", groupsOf(x[1], w[1])) % groupsOf(x[1], w[1]) != 0)
    rejectInputs("a weight of shape " + shapeText(w) + " does not fit " + std::to_string(x[1]) +
                 " channels in " + std::to_string(attributes.getInt("group", 1)) + " groups");
  checkBias(in, w[0]);
  const Window window(attributes, spatialExtents(w));
  return {{in[0].dtype, withSpatial(x[0], w[0], window.slide(spatialExtents(x)))}};
}

std::vector<TensorType> inferConvTranspose(const Attributes& attributes, Types in) {
  checkConv(in);
  const Shape &x = in[0].shape, &w = in[1].shape;
  const int64_t group = attributes.getInt("group", 1);
  expectEqual(x[1], w[0], "the input channels");
  if (group < 1 || w[0] % group != 0)
    rejectInputs(std::to_string(w[0]) + " channels do not divide into " + std::to_string(group) +
                 " groups");
  const int64_t channels = checkedMul(w[1], group);
  checkBias(in, channels);
  const Window window(attributes, spatialExtents(w));
  return {{in[0].dtype, withSpatial(x[0], channels, window.spread(attributes, spatialExtents(x)))}};
}

struct ConvAxes {
  DimWalk batch, in, out, inOnly, outOnly;
  std::vector<DimWalk> spatial, kernel;
};

ConvAxes addConvAxes(LoopNest& nest, int64_t batch, int64_t groups, int64_t in, int64_t out,
                     const Shape& spatial, const Shape& kernel) {
  ConvAxes axes;
  axes.batch = {nest.addAxis("batch", batch)};
  const int8_t g = nest.addAxis("groups", groups);
  axes.outOnly = {nest.addAxis("out_channels", out)};
  axes.inOnly = {nest.addAxis("in_channels", in, AxisKind::reduce)};
  axes.out = {g, axes.outOnly.outer};
  axes.in = {g, axes.inOnly.outer};
  for (size_t i = 0; i < spatial.size(); ++i)
    axes.spatial.push_back(
        {nest.addAxis(spatialName(i, spatial.size()), spatial[i], AxisKind::halo)});
  for (size_t i = 0; i < kernel.size(); ++i)
    axes.kernel.push_back(
        {nest.addAxis(kernelName(i, kernel.size()), kernel[i], AxisKind::opaque)});
  return axes;
}

TensorWalk joined(DimWalk a, DimWalk b, const std::vector<DimWalk>& rest) {
  TensorWalk walk{a, b};
  walk.insert(walk.end(), rest.begin(), rest.end());
  return walk;
}

LoopNest nestConv(const OpContext& c) {
  const Shape &x = c.inputs[0].shape, &w = c.inputs[1].shape, &y = c.outputs[0].shape;
  LoopNest nest;
  const int64_t groups = groupsOf(x[1], w[1]);
  const ConvAxes a =
      addConvAxes(nest, x[0], groups, w[1], w[0] / groups, spatialExtents(y), spatialExtents(w));
  nest.inputs = {joined(a.batch, a.in, a.spatial), joined(a.out, a.inOnly, a.kernel)};
  if (c.inputs.size() == 3) nest.inputs.push_back({a.out});
  nest.outputs = {joined(a.batch, a.out, a.spatial)};
  return nest;
}

/// Each input position meets each kernel position once, so the spatial extents are the input's.
LoopNest nestConvTranspose(const OpContext& c) {
  const Shape &x = c.inputs[0].shape, &w = c.inputs[1].shape, &y = c.outputs[0].shape;
  LoopNest nest;
  const int64_t groups = groupsOf(y[1], w[1]);
  const ConvAxes a =
      addConvAxes(nest, x[0], groups, w[0] / groups, w[1], spatialExtents(x), spatialExtents(w));
  nest.inputs = {joined(a.batch, a.in, a.spatial), joined(a.in, a.outOnly, a.kernel)};
  if (c.inputs.size() == 3) nest.inputs.push_back({a.out});
  nest.outputs = {joined(a.batch, a.out, a.spatial)};
  return nest;
}

SlotSet needsOther(const OpContext&, int wrt) {
  return {wrt == 0 ? 0b10u : wrt == 1 ? 0b01u : 0u, 0};
}

constexpr OperatorDef convolution(std::string_view name, decltype(OperatorDef::infer) infer,
                                  decltype(OperatorDef::nest) nest) {
  OperatorDef def;
  def.name = name;
  def.opClass = OpClass::convolution;
  def.infer = infer;
  def.nest = nest;
  def.gradient = GradientKind::split;
  def.needs = needsOther;
  return def;
}

constexpr std::array kDefs{convolution("Conv", inferConv, nestConv),
                           convolution("ConvTranspose", inferConvTranspose, nestConvTranspose)};

}  // namespace

std::span<const OperatorDef> convolutionDefs() {
  return kDefs;
}

}  // namespace meshplan
