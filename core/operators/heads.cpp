// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "core/operators/families.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

struct HeadSizes {
  int64_t group, dim, value;
  int64_t block() const { return checkedAdd(checkedMul(group + 1, dim), value); }
};

HeadSizes headSizes(const Attributes& attributes) {
  const int64_t dim = attributes.getInt("head_dim", 0);
  const HeadSizes sizes{attributes.getInt("group", 1), dim, attributes.getInt("value_dim", dim)};
  if (sizes.group < 1 || sizes.dim < 1 || sizes.value < 1)
    rejectInputs("the attributes head_dim, value_dim and group must be positive");
  return sizes;
}

int64_t blocksOf(int64_t extent, int64_t block) {
  if (block < 1 || extent % block != 0)
    rejectInputs(std::to_string(extent) + " features do not divide into heads of " +
                 std::to_string(block));
  return extent / block;
}

std::vector<TensorType> inferSplitHeads(const Attributes& attributes, Types in) {
  expectInputs(in, 1, 1);
  expectRank(in[0], 3, 3);
  const HeadSizes s = headSizes(attributes);
  const Shape& x = in[0].shape;
  const int64_t g = blocksOf(x[2], s.block());
  const DType t = in[0].dtype;
  return {{t, {x[0], g * s.group, x[1], s.dim}},
          {t, {x[0], g, x[1], s.dim}},
          {t, {x[0], g, x[1], s.value}}};
}

LoopNest nestSplitHeads(const OpContext& c) {
  const HeadSizes s = headSizes(c.attributes);
  const Shape& x = c.inputs[0].shape;
  LoopNest nest;
  const DimWalk b{nest.addAxis("batch", x[0])}, t{nest.addAxis("queries", x[1])};
  const int8_t g = nest.addAxis("kv_heads", x[2] / s.block());
  const DimWalk block{g, nest.addAxis("kv_block", s.block(), AxisKind::opaque)};
  const DimWalk heads{g, nest.addAxis("heads", s.group, AxisKind::opaque)};
  const DimWalk d{nest.addAxis("head_dim", s.dim, AxisKind::opaque)};
  const DimWalk v{nest.addAxis("value_dim", s.value, AxisKind::opaque)};
  nest.inputs = {{b, t, block}};
  nest.outputs = {{b, heads, t, d}, {b, {g}, t, d}, {b, {g}, t, v}};
  return nest;
}

std::vector<TensorType> inferToHeads(const Attributes& attributes, Types in) {
  expectInputs(in, 1, 1);
  expectRank(in[0], 3, 3);
  const int64_t d = attributes.getInt("head_dim", 0);
  const Shape& x = in[0].shape;
  return {{in[0].dtype, {x[0], blocksOf(x[2], d), x[1], d}}};
}

/// `split` walks [b,s,h*d], `heads` [b,h,s,d].
LoopNest nestHeads(const Shape& heads, bool toHeads) {
  LoopNest nest;
  const DimWalk b{nest.addAxis("batch", heads[0])};
  const DimWalk h{nest.addAxis("heads", heads[1])};
  const DimWalk t{nest.addAxis("queries", heads[2])};
  const DimWalk d{nest.addAxis("head_dim", heads[3], AxisKind::opaque)};
  const TensorWalk split{b, h, t, d}, merged{b, t, {h.outer, d.outer}};
  nest.inputs = {toHeads ? merged : split};
  nest.outputs = {toHeads ? split : merged};
  return nest;
}

LoopNest nestToHeads(const OpContext& c) {
  return nestHeads(c.outputs[0].shape, true);
}
LoopNest nestMergeHeads(const OpContext& c) {
  return nestHeads(c.inputs[0].shape, false);
}

std::vector<TensorType> inferMergeHeads(const Attributes&, Types in) {
  expectInputs(in, 1, 1);
  expectRank(in[0], 4, 4);
  const Shape& x = in[0].shape;
  return {{in[0].dtype, {x[0], x[2], checkedMul(x[1], x[3])}}};
}

std::vector<TensorType> inferLatentKeyValue(const Attributes& attributes, Types in) {
  expectInputs(in, 2, 2);
  expectRank(in[0], 4, 4);
  expectRank(in[1], 4, 4);
  const Shape &kv = in[0].shape, &rope = in[1].shape;
  const int64_t value = attributes.getInt("value_dim", 0);
  expectEqual(kv[0], rope[0], "the batch");
  expectEqual(kv[2], rope[2], "the sequence");
  expectEqual(rope[1], 1, "the shared head");
  if (value < 1 || value >= kv[3]) rejectInputs("attribute value_dim does not fit the heads");
  Shape k = kv, v = kv;
  k[3] = kv[3] - value + rope[3];
  v[3] = value;
  return {{in[0].dtype, k}, {in[0].dtype, v}};
}

LoopNest nestLatentKeyValue(const OpContext& c) {
  const Shape &kv = c.inputs[0].shape, &k = c.outputs[0].shape;
  LoopNest nest;
  const DimWalk b{nest.addAxis("batch", kv[0])}, h{nest.addAxis("heads", kv[1])};
  const DimWalk t{nest.addAxis("keys", kv[2])};
  const DimWalk kvDim{nest.addAxis("latent_dim", kv[3], AxisKind::opaque)};
  const DimWalk rope{nest.addAxis("rope_dim", c.inputs[1].shape[3], AxisKind::opaque)};
  const DimWalk d{nest.addAxis("head_dim", k[3], AxisKind::opaque)};
  const DimWalk v{nest.addAxis("value_dim", c.outputs[1].shape[3], AxisKind::opaque)};
  nest.inputs = {{b, h, t, kvDim}, {b, {}, t, rope}};
  nest.outputs = {{b, h, t, d}, {b, h, t, v}};
  return nest;
}

std::vector<TensorType> inferPatchTokens(const Attributes&, Types in) {
  expectInputs(in, 1, 2);
  expectRank(in[0], 4, 4);
  const Shape& x = in[0].shape;
  if (in.size() == 2) expectEqual(in[1].elements(), x[1], "the channels");
  const int64_t tokens = checkedAdd(checkedMul(x[2], x[3]), in.size() == 2 ? 1 : 0);
  return {{in[0].dtype, {x[0], tokens, x[1]}}};
}

LoopNest nestPatchTokens(const OpContext& c) {
  const Shape& x = c.inputs[0].shape;
  LoopNest nest;
  const DimWalk b{nest.addAxis("batch", x[0])}, e{nest.addAxis("features", x[1])};
  const DimWalk height{nest.addAxis("height", x[2], AxisKind::opaque)};
  const DimWalk width{nest.addAxis("width", x[3], AxisKind::opaque)};
  const DimWalk t{nest.addAxis("tokens", c.outputs[0].shape[1], AxisKind::opaque)};
  nest.inputs = {{b, e, height, width}};
  if (c.inputs.size() == 2) {
    nest.inputs.emplace_back(c.inputs[1].shape.size());
    nest.inputs[1].back() = e;
  }
  nest.outputs = {{b, t, e}};
  return nest;
}

std::vector<TensorType> inferFirstToken(const Attributes&, Types in) {
  expectInputs(in, 1, 1);
  expectRank(in[0], 3, 3);
  return {{in[0].dtype, {in[0].shape[0], in[0].shape[2]}}};
}

LoopNest nestFirstToken(const OpContext& c) {
  const Shape& x = c.inputs[0].shape;
  LoopNest nest;
  const DimWalk b{nest.addAxis("batch", x[0])};
  const DimWalk t{nest.addAxis("tokens", x[1], AxisKind::opaque)};
  const DimWalk e{nest.addAxis("features", x[2])};
  nest.inputs = {{b, t, e}};
  nest.outputs = {{b, e}};
  return nest;
}

double bytesFirstToken(const OpContext& c) {
  return 2.0 * static_cast<double>(c.outputs[0].bytes().value);
}

constexpr OperatorDef movement(std::string_view name, decltype(OperatorDef::infer) infer,
                               decltype(OperatorDef::nest) nest) {
  OperatorDef def;
  def.name = name;
  def.opClass = OpClass::movement;
  def.infer = infer;
  def.nest = nest;
  def.gradient = GradientKind::fused;
  return def;
}

constexpr OperatorDef firstToken() {
  OperatorDef def = movement("FirstToken", inferFirstToken, nestFirstToken);
  def.bytes = bytesFirstToken;
  return def;
}

constexpr std::array kDefs{
    movement("SplitHeads", inferSplitHeads, nestSplitHeads),
    movement("ToHeads", inferToHeads, nestToHeads),
    movement("MergeHeads", inferMergeHeads, nestMergeHeads),
    movement("LatentKeyValue", inferLatentKeyValue, nestLatentKeyValue),
    movement("PatchTokens", inferPatchTokens, nestPatchTokens),
    firstToken(),
};

}  // namespace

std::span<const OperatorDef> headsDefs() {
  return kDefs;
}

}  // namespace meshplan
