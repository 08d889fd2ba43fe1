// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "core/operators/families.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

std::vector<TensorType> inferEmbedding(const Attributes&, Types in) {
  expectInputs(in, 2, 2);
  expectRank(in[1], 2, 2);
  TensorType y{in[1].dtype, in[0].shape};
  y.shape.push_back(in[1].shape[1]);
  return {y};
}

LoopNest nestEmbedding(const OpContext& c) {
  LoopNest nest;
  TensorWalk ids;
  addRows(nest, ids, c.inputs[0].shape, c.inputs[0].shape.size());
  const DimWalk v{nest.addAxis("vocab", c.inputs[1].shape[0], AxisKind::reduce)};
  const DimWalk e{nest.addAxis("features", c.inputs[1].shape[1])};
  nest.inputs = {ids, {v, e}};
  ids.push_back(e);
  nest.outputs = {ids};
  return nest;
}

/// Only the rows that are looked up are read.
double bytesEmbedding(const OpContext& c) {
  return static_cast<double>(c.inputs[0].bytes().value) +
         2.0 * static_cast<double>(c.outputs[0].bytes().value);
}

std::vector<TensorType> inferPosition(const Attributes&, Types in) {
  expectInputs(in, 2, 2);
  expectRank(in[0], 2);
  expectRank(in[1], 2, 2);
  const Shape& x = in[0].shape;
  expectEqual(x.back(), in[1].shape[1], "the features");
  if (x[x.size() - 2] > in[1].shape[0])
    rejectInputs("the sequence of " + std::to_string(x[x.size() - 2]) +
                 " is longer than the position table of " + std::to_string(in[1].shape[0]));
  return {in[0]};
}

LoopNest nestPosition(const OpContext& c) {
  LoopNest nest;
  TensorWalk walk;
  const Shape& x = c.inputs[0].shape;
  addRows(nest, walk, x, x.size() - 1);
  const DimWalk positions{nest.addAxis("positions", c.inputs[1].shape[0], AxisKind::opaque)};
  const DimWalk e{nest.addAxis("features", x.back())};
  walk.push_back(e);
  nest.inputs = {walk, {positions, e}};
  nest.outputs = {walk};
  return nest;
}

double flopsPosition(const OpContext& c) {
  return static_cast<double>(c.outputs[0].elements());
}

std::vector<TensorType> inferRelativeBias(const Attributes& attributes, Types in) {
  expectInputs(in, 1, 1);
  expectRank(in[0], 2, 2);
  return {{in[0].dtype,
           {1, in[0].shape[1], attributes.getInt("queries", 1), attributes.getInt("keys", 1)}}};
}

LoopNest nestRelativeBias(const OpContext& c) {
  LoopNest nest;
  const Shape& y = c.outputs[0].shape;
  const DimWalk buckets{nest.addAxis("buckets", c.inputs[0].shape[0], AxisKind::opaque)};
  const DimWalk h{nest.addAxis("heads", y[1])};
  const DimWalk q{nest.addAxis("queries", y[2], AxisKind::opaque)};
  const DimWalk t{nest.addAxis("keys", y[3], AxisKind::opaque)};
  nest.inputs = {{buckets, h}};
  nest.outputs = {{{}, h, q, t}};
  return nest;
}

constexpr OperatorDef embedding(std::string_view name, decltype(OperatorDef::infer) infer,
                                decltype(OperatorDef::nest) nest,
                                decltype(OperatorDef::needs) needs) {
  OperatorDef def;
  def.name = name;
  def.opClass = OpClass::embedding;
  def.infer = infer;
  def.nest = nest;
  def.gradient = GradientKind::fused;
  def.needs = needs;
  return def;
}

constexpr OperatorDef lookup() {
  OperatorDef def = embedding("Embedding", inferEmbedding, nestEmbedding, needsInput);
  def.bytes = bytesEmbedding;
  return def;
}

constexpr OperatorDef position() {
  OperatorDef def = embedding("PositionEmbedding", inferPosition, nestPosition, nullptr);
  def.flops = flopsPosition;
  return def;
}

constexpr std::array kDefs{lookup(), position(),
                           embedding("RelativeBias", inferRelativeBias, nestRelativeBias, nullptr)};

}  // namespace

std::span<const OperatorDef> embeddingDefs() {
  return kDefs;
}

}  // namespace meshplan
