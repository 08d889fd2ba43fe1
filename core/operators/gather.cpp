// SPDX-License-Identifier: Apache-2.0
#include "core/operators/families.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

double nothing(const OpContext&) {
  return 0;
}

/// What is looked up is read, not the whole table.
double gatherBytes(const OpContext& c) {
  return 2 * static_cast<double>(c.outputs[0].bytes().value) +
         static_cast<double>(c.inputs[1].bytes().value);
}

/// A copy of the data, then the updates written over it.
double scatterBytes(const OpContext& c) {
  return 2 * static_cast<double>(c.inputs[0].bytes().value) +
         static_cast<double>(c.inputs[1].bytes().value) +
         2 * static_cast<double>(c.inputs[2].bytes().value);
}

SlotSet needsIndices(const OpContext&, int) {
  return {2, 0};
}

std::vector<TensorType> inferGather(const Attributes& a, Types in) {
  expectInputs(in, 2, 2);
  const Shape& data = in[0].shape;
  const auto axis = static_cast<int64_t>(dimensionIndex(a.getInt("axis", 0), data.size()));
  TensorType out{in[0].dtype, {data.begin(), data.begin() + axis}};
  out.shape.insert(out.shape.end(), in[1].shape.begin(), in[1].shape.end());
  out.shape.insert(out.shape.end(), data.begin() + axis + 1, data.end());
  elementCount(out.shape);
  return {out};
}

LoopNest gatherNest(const OpContext& c) {
  LoopNest nest;
  const Shape& data = c.inputs[0].shape;
  const size_t axis = dimensionIndex(c.attributes.getInt("axis", 0), data.size());
  TensorWalk in, indices, out;
  for (size_t i = 0; i < data.size(); ++i) {
    const AxisKind kind = i == axis ? AxisKind::opaque : AxisKind::parallel;
    in.push_back({nest.addAxis(dimName(i), data[i], kind)});
  }
  addRows(nest, indices, c.inputs[1].shape, c.inputs[1].shape.size());
  out.insert(out.end(), in.begin(), in.begin() + static_cast<int64_t>(axis));
  out.insert(out.end(), indices.begin(), indices.end());
  out.insert(out.end(), in.begin() + static_cast<int64_t>(axis) + 1, in.end());
  nest.inputs = {in, indices};
  nest.outputs = {out};
  return nest;
}

std::vector<TensorType> inferGatherElements(const Attributes& a, Types in) {
  expectInputs(in, 2, 2);
  expectRank(in[1], in[0].shape.size(), in[0].shape.size());
  dimensionIndex(a.getInt("axis", 0), in[0].shape.size());
  return {{in[0].dtype, in[1].shape}};
}

/// A dimension is one parallel axis of all tensors where it is not indexed and all extents agree.
LoopNest elementsNest(const OpContext& c) {
  LoopNest nest;
  nest.inputs.resize(c.inputs.size());
  nest.outputs.resize(c.outputs.size());
  const size_t rank = c.inputs[0].shape.size();
  const size_t axis = dimensionIndex(c.attributes.getInt("axis", 0), rank);
  for (size_t i = 0; i < rank; ++i) {
    const int64_t extent = c.inputs[0].shape[i];
    bool shared = i != axis;
    for (const TensorType& t : c.inputs) shared = shared && t.shape[i] == extent;
    const int8_t common = shared ? nest.addAxis(dimName(i), extent) : kNoAxis;
    const auto walk = [&](int64_t e) {
      return DimWalk{shared ? common : nest.addAxis("indexed", e, AxisKind::opaque)};
    };
    for (size_t k = 0; k < c.inputs.size(); ++k)
      nest.inputs[k].push_back(walk(c.inputs[k].shape[i]));
    for (size_t k = 0; k < c.outputs.size(); ++k)
      nest.outputs[k].push_back(walk(c.outputs[k].shape[i]));
  }
  return nest;
}

std::vector<TensorType> inferScatterElements(const Attributes& a, Types in) {
  expectInputs(in, 3, 3);
  expectRank(in[1], in[0].shape.size(), in[0].shape.size());
  expectRank(in[2], in[0].shape.size(), in[0].shape.size());
  dimensionIndex(a.getInt("axis", 0), in[0].shape.size());
  return {in[0]};
}

/// Dimensions of the data that one index tuple picks, after `batch` leading ones.
size_t tupleSize(const Attributes& a, Types in) {
  const auto batch = static_cast<size_t>(a.getInt("batch_dims", 0));
  expectRank(in[1], 1);
  const int64_t tuple = in[1].shape.back();
  if (batch >= in[1].shape.size() || tuple < 0 || batch + size_t(tuple) > in[0].shape.size())
    rejectInputs("indices " + shapeText(in[1].shape) + " do not fit data " +
                 shapeText(in[0].shape));
  return static_cast<size_t>(tuple);
}

std::vector<TensorType> inferGatherND(const Attributes& a, Types in) {
  expectInputs(in, 2, 2);
  const size_t first = static_cast<size_t>(a.getInt("batch_dims", 0)) + tupleSize(a, in);
  TensorType out{in[0].dtype, {in[1].shape.begin(), in[1].shape.end() - 1}};
  out.shape.insert(out.shape.end(), in[0].shape.begin() + static_cast<int64_t>(first),
                   in[0].shape.end());
  elementCount(out.shape);
  return {out};
}

LoopNest gatherNDNest(const OpContext& c) {
  LoopNest nest;
  const auto batch = static_cast<size_t>(c.attributes.getInt("batch_dims", 0));
  const size_t first = batch + tupleSize(c.attributes, c.inputs);
  TensorWalk data, indices, out;
  const Shape& shape = c.inputs[0].shape;
  for (size_t i = 0; i < shape.size(); ++i) {
    const bool indexed = i >= batch && i < first;
    data.push_back(
        {nest.addAxis(dimName(i), shape[i], indexed ? AxisKind::opaque : AxisKind::parallel)});
  }
  const Shape& at = c.inputs[1].shape;
  for (size_t i = 0; i + 1 < at.size(); ++i)
    indices.push_back(i < batch && at[i] == shape[i] ? data[i]
                                                     : DimWalk{nest.addAxis(rowName(i), at[i])});
  out = indices;
  indices.push_back({nest.addAxis("tuple", at.back(), AxisKind::opaque)});
  out.insert(out.end(), data.begin() + static_cast<int64_t>(first), data.end());
  nest.inputs = {data, indices};
  nest.outputs = {out};
  return nest;
}

std::vector<TensorType> inferScatterND(const Attributes& a, Types in) {
  expectInputs(in, 3, 3);
  const size_t tuple = tupleSize(a, in);
  const size_t rank = in[1].shape.size() - 1 + in[0].shape.size() - tuple;
  expectRank(in[2], rank, rank);
  return {in[0]};
}

/// Only the dimensions behind the indexed ones are parallel: an index tuple may land anywhere.
LoopNest scatterNDNest(const OpContext& c) {
  LoopNest nest;
  const size_t tuple = tupleSize(c.attributes, c.inputs);
  TensorWalk data, indices, updates;
  const Shape& shape = c.inputs[0].shape;
  for (size_t i = 0; i < shape.size(); ++i)
    data.push_back(
        {nest.addAxis(dimName(i), shape[i], i < tuple ? AxisKind::opaque : AxisKind::parallel)});
  addRows(nest, indices, c.inputs[1].shape, c.inputs[1].shape.size() - 1, AxisKind::opaque);
  updates = indices;
  indices.push_back({nest.addAxis("tuple", c.inputs[1].shape.back(), AxisKind::opaque)});
  for (size_t i = tuple; i < shape.size(); ++i) {
    const int64_t extent = c.inputs[2].shape[updates.size()];
    updates.push_back(
        extent == shape[i] ? data[i] : DimWalk{nest.addAxis("indexed", extent, AxisKind::opaque)});
  }
  nest.inputs = {data, indices, updates};
  nest.outputs = {data};
  return nest;
}

constexpr OperatorDef indexed(std::string_view name, decltype(OperatorDef::infer) infer,
                              decltype(OperatorDef::nest) nest,
                              decltype(OperatorDef::bytes) bytes) {
  OperatorDef def;
  def.name = name;
  def.opClass = OpClass::movement;
  def.infer = infer;
  def.nest = nest;
  def.flops = nothing;
  def.bytes = bytes;
  def.gradient = GradientKind::fused;
  def.needs = needsIndices;
  return def;
}

constexpr OperatorDef kGathers[] = {
    indexed("Gather", inferGather, gatherNest, gatherBytes),
    indexed("GatherElements", inferGatherElements, elementsNest, gatherBytes),
    indexed("GatherND", inferGatherND, gatherNDNest, gatherBytes),
    indexed("ScatterElements", inferScatterElements, elementsNest, scatterBytes),
    indexed("ScatterND", inferScatterND, scatterNDNest, scatterBytes)};

}  // namespace

std::span<const OperatorDef> gatherDefs() {
  return kGathers;
}

}  // namespace meshplan
