// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "core/operators/families.h"
#include "core/operators/support.h"
#include "core/operators/window.h"

namespace meshplan {
namespace {

/// Scales and shifts are as large as the normalised dimensions, or broadcast to them.
std::vector<TensorType> inferTrailing(const Attributes& attributes, Types in) {
  expectInputs(in, 2, 3);
  expectRank(in[0], 1);
  const Shape& x = in[0].shape;
  const size_t axis = dimensionIndex(attributes.getInt("axis", -1), x.size());
  const Shape features(x.begin() + static_cast<ptrdiff_t>(axis), x.end());
  for (size_t i = 1; i < in.size(); ++i)
    if (broadcast(in[i].shape, features) != features)
      rejectInputs("a scale of shape " + shapeText(in[i].shape) + " does not fit " +
                   shapeText(features));
  return {in[0]};
}

LoopNest nestTrailing(const OpContext& c) {
  LoopNest nest;
  const Shape& x = c.inputs[0].shape;
  const size_t axis = dimensionIndex(c.attributes.getInt("axis", -1), x.size());
  std::vector<int8_t> dims;
  for (size_t i = 0; i < x.size(); ++i)
    dims.push_back(i < axis ? nest.addAxis(rowName(i), x[i])
                            : nest.addAxis("features", x[i], AxisKind::normalised));
  for (const TensorType& t : c.inputs) nest.inputs.push_back(broadcastWalk(t.shape, x, dims));
  nest.outputs = {broadcastWalk(x, x, dims)};
  return nest;
}

std::vector<TensorType> inferChannels(const Attributes&, Types in) {
  expectInputs(in, 3, 5);
  expectRank(in[0], 2);
  for (size_t i = 1; i < in.size(); ++i)
    expectEqual(in[i].elements(), in[0].shape[1], "the channels");
  return {in[0]};
}

/// `whole`: the statistics run over the batch too. In inference mode they are given and every
/// dimension is parallel.
LoopNest nestChannels(const OpContext& c, bool whole) {
  LoopNest nest;
  const Shape& x = c.inputs[0].shape;
  const bool training = c.attributes.getInt("training", 1) != 0;
  const AxisKind statistic = training ? AxisKind::normalised : AxisKind::parallel;
  TensorWalk walk{{nest.addAxis("batch", x[0], whole ? statistic : AxisKind::parallel)},
                  {nest.addAxis("channels", x[1])}};
  for (size_t i = 2; i < x.size(); ++i)
    walk.push_back({nest.addAxis(spatialName(i - 2, x.size() - 2), x[i], statistic)});
  nest.inputs.assign(c.inputs.size(), {walk[1]});
  nest.inputs[0] = walk;
  nest.outputs = {walk};
  return nest;
}

LoopNest nestBatchNorm(const OpContext& c) {
  return nestChannels(c, true);
}
LoopNest nestInstanceNorm(const OpContext& c) {
  return nestChannels(c, false);
}

int64_t groupChannels(const OpContext& c) {
  const int64_t channels = c.inputs[0].shape[1];
  const int64_t size = c.attributes.getInt("group_size", channels);
  return size > 0 && channels % size == 0 ? size : channels;
}

std::vector<TensorType> inferGroupNorm(const Attributes& attributes, Types in) {
  expectInputs(in, 3, 3);
  expectRank(in[0], 2);
  const int64_t channels = in[0].shape[1];
  const int64_t size = attributes.getInt("group_size", channels);
  if (size < 1 || channels % size != 0)
    rejectInputs(std::to_string(channels) + " channels do not divide into groups of " +
                 std::to_string(size));
  for (size_t i = 1; i < 3; ++i)
    if (in[i].elements() != channels / size) expectEqual(in[i].elements(), channels, "the scale");
  return {in[0]};
}

LoopNest nestGroupNorm(const OpContext& c) {
  LoopNest nest;
  const Shape& x = c.inputs[0].shape;
  const int64_t size = groupChannels(c);
  const int8_t groups = nest.addAxis("groups", x[1] / std::max<int64_t>(size, 1));
  TensorWalk walk{{nest.addAxis("batch", x[0])},
                  {groups, nest.addAxis("channels", size, AxisKind::normalised)}};
  for (size_t i = 2; i < x.size(); ++i)
    walk.push_back({nest.addAxis(spatialName(i - 2, x.size() - 2), x[i], AxisKind::normalised)});
  nest.inputs = {walk};
  for (size_t i = 1; i < c.inputs.size(); ++i)
    nest.inputs.push_back({c.inputs[i].elements() == x[1] ? walk[1] : DimWalk{groups}});
  nest.outputs = {walk};
  return nest;
}

std::vector<TensorType> inferAlongAxis(const Attributes& attributes, Types in) {
  expectInputs(in, 1, 1);
  if (!in[0].shape.empty()) dimensionIndex(attributes.getInt("axis", -1), in[0].shape.size());
  return {in[0]};
}

LoopNest nestWithKinds(const OpContext& c, const std::vector<AxisKind>& kinds) {
  LoopNest nest;
  TensorWalk walk;
  const Shape& x = c.inputs[0].shape;
  for (size_t i = 0; i < x.size(); ++i) walk.push_back({nest.addAxis(dimName(i), x[i], kinds[i])});
  nest.inputs = {walk};
  nest.outputs = {walk};
  return nest;
}

/// `coerced`: before opset 13, Softmax and its kin normalise over all dimensions from `axis` on.
LoopNest nestAlongAxis(const OpContext& c) {
  const size_t rank = c.inputs[0].shape.size();
  std::vector<AxisKind> kinds(rank, AxisKind::parallel);
  if (rank == 0) return nestWithKinds(c, kinds);
  const size_t axis = dimensionIndex(c.attributes.getInt("axis", -1), rank);
  const bool coerced = c.attributes.getInt("coerced", 0) != 0;
  for (size_t i = axis; i < (coerced ? rank : axis + 1); ++i) kinds[i] = AxisKind::normalised;
  return nestWithKinds(c, kinds);
}

LoopNest nestLrn(const OpContext& c) {
  std::vector<AxisKind> kinds(c.inputs[0].shape.size(), AxisKind::parallel);
  if (kinds.size() > 1) kinds[1] = AxisKind::halo;
  return nestWithKinds(c, kinds);
}

LoopNest nestMeanVariance(const OpContext& c) {
  std::vector<AxisKind> kinds(c.inputs[0].shape.size(), AxisKind::parallel);
  for (int64_t axis : c.attributes.getInts("axes", {0, 2, 3}))
    kinds[dimensionIndex(axis, kinds.size())] = AxisKind::normalised;
  return nestWithKinds(c, kinds);
}

std::vector<TensorType> inferMeanVariance(const Attributes& attributes, Types in) {
  expectInputs(in, 1, 1);
  for (int64_t axis : attributes.getInts("axes", {0, 2, 3}))
    dimensionIndex(axis, in[0].shape.size());
  return {in[0]};
}

SlotSet needsInputAndScale(const OpContext&, int) {
  return {0b11, 0};
}
/// With given statistics these too.
SlotSet needsStatistics(const OpContext& c, int) {
  const bool training = c.attributes.getInt("training", 1) != 0;
  return {!training && c.inputs.size() == 5 ? 0b11011u : 0b11u, 0};
}
SlotSet needsInputAndOutput(const OpContext&, int) {
  return {1, 1};
}

constexpr OperatorDef normalization(std::string_view name, decltype(OperatorDef::infer) infer,
                                    decltype(OperatorDef::nest) nest,
                                    decltype(OperatorDef::needs) needs,
                                    GradientKind gradient = GradientKind::fused) {
  OperatorDef def;
  def.name = name;
  def.opClass = OpClass::normalization;
  def.infer = infer;
  def.nest = nest;
  def.gradient = gradient;
  def.needs = needs;
  return def;
}

/// Statistics over whole images.
constexpr OperatorDef imageNormalization(std::string_view name, decltype(OperatorDef::nest) nest) {
  OperatorDef def = normalization(name, inferChannels, nest, needsStatistics);
  def.rereads = 1;
  return def;
}

constexpr std::array kDefs{
    normalization("LayerNormalization", inferTrailing, nestTrailing, needsInputAndScale),
    normalization("RMSNormalization", inferTrailing, nestTrailing, needsInputAndScale),
    imageNormalization("BatchNormalization", nestBatchNorm),
    imageNormalization("InstanceNormalization", nestInstanceNorm),
    normalization("GroupNormalization", inferGroupNorm, nestGroupNorm, needsInputAndScale),
    normalization("LRN", inferAlongAxis, nestLrn, needsInputAndOutput),
    normalization("LpNormalization", inferAlongAxis, nestAlongAxis, needsInput),
    normalization("MeanVarianceNormalization", inferMeanVariance, nestMeanVariance, needsInput),
    normalization("Softmax", inferAlongAxis, nestAlongAxis, needsOutput),
    normalization("LogSoftmax", inferAlongAxis, nestAlongAxis, needsOutput),
    normalization("Hardmax", inferAlongAxis, nestAlongAxis, nullptr, GradientKind::none),
};

}  // namespace

std::span<const OperatorDef> normalizationDefs() {
  return kDefs;
}

}  // namespace meshplan
