// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "core/operators/families.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

double nothing(const OpContext&) {
  return 0;
}

double outputTwice(const OpContext& c) {
  double bytes = 0;
  for (const TensorType& t : c.outputs) bytes += 2 * static_cast<double>(t.bytes().value);
  return bytes;
}

/// Dimension i of the input and of the output are one parallel axis where `same[i]`, and two opaque
/// ones elsewhere.
LoopNest pairedNest(const OpContext& c, const std::vector<bool>& same) {
  LoopNest nest;
  TensorWalk in, out;
  const Shape &from = c.inputs[0].shape, &to = c.outputs[0].shape;
  for (size_t i = 0; i < from.size(); ++i) {
    const AxisKind kind = same[i] ? AxisKind::parallel : AxisKind::opaque;
    in.push_back({nest.addAxis(dimName(i), from[i], kind)});
    out.push_back(same[i] ? in.back() : DimWalk{nest.addAxis("moved", to[i], kind)});
  }
  nest.inputs.push_back(in);
  nest.outputs.push_back(out);
  return nest;
}

LoopNest unchangedExcept(const OpContext& c, const std::vector<int64_t>& moved) {
  std::vector<bool> same(c.inputs[0].shape.size(), true);
  for (int64_t axis : moved) same[dimensionIndex(axis, same.size())] = false;
  return pairedNest(c, same);
}

std::vector<int64_t> permutation(const Attributes& a, size_t rank) {
  std::vector<int64_t> perm = a.getInts("perm");
  if (perm.empty())
    for (size_t i = rank; i-- > 0;) perm.push_back(static_cast<int64_t>(i));
  if (perm.size() != rank) rejectInputs("perm does not fit the rank " + std::to_string(rank));
  return perm;
}

std::vector<TensorType> inferTranspose(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  TensorType out{in[0].dtype, {}};
  std::vector<bool> seen(in[0].shape.size());
  for (int64_t p : permutation(a, seen.size())) {
    const size_t i = dimensionIndex(p, seen.size());
    if (seen[i]) rejectInputs("perm names a dimension twice");
    seen[i] = true;
    out.shape.push_back(in[0].shape[i]);
  }
  return {out};
}

LoopNest transposeNest(const OpContext& c) {
  LoopNest nest;
  const Shape& shape = c.inputs[0].shape;
  TensorWalk in, out;
  for (size_t i = 0; i < shape.size(); ++i) in.push_back({nest.addAxis(dimName(i), shape[i])});
  for (int64_t p : permutation(c.attributes, shape.size()))
    out.push_back(in[dimensionIndex(p, shape.size())]);
  nest.inputs.push_back(in);
  nest.outputs.push_back(out);
  return nest;
}

std::vector<TensorType> inferConcat(const Attributes& a, Types in) {
  expectInputs(in, 1, SIZE_MAX);
  TensorType out = in[0];
  const size_t axis = dimensionIndex(a.getInt("axis", 0), out.shape.size());
  for (size_t k = 1; k < in.size(); ++k) {
    expectRank(in[k], out.shape.size(), out.shape.size());
    for (size_t i = 0; i < out.shape.size(); ++i)
      if (i != axis) expectEqual(out.shape[i], in[k].shape[i], "a dimension that is not joined");
    out.shape[axis] = checkedAdd(out.shape[axis], in[k].shape[axis]);
  }
  return {out};
}

/// All tensors share every axis but `axis`, where each size has an opaque one of its own (as far as
/// axes can be numbered).
LoopNest joinNest(const OpContext& c, size_t axis) {
  constexpr size_t kMaxAxes = 100;
  LoopNest nest;
  const std::vector<int8_t> dims = addDims(nest, c.outputs[0].shape);
  nest.axes[axis].kind = AxisKind::opaque;
  const auto axisOf = [&](int64_t extent) {
    if (nest.axes[axis].extent == extent) return dims[axis];
    for (size_t i = dims.size(); i < nest.axes.size(); ++i)
      if (nest.axes[i].extent == extent) return static_cast<int8_t>(i);
    return nest.axes.size() < kMaxAxes ? nest.addAxis("part", extent, AxisKind::opaque) : kNoAxis;
  };
  const auto walk = [&](const TensorType& t) {
    TensorWalk w;
    for (size_t i = 0; i < t.shape.size(); ++i)
      w.push_back({i == axis ? axisOf(t.shape[i]) : dims[i]});
    return w;
  };
  for (const TensorType& t : c.inputs) nest.inputs.push_back(walk(t));
  for (const TensorType& t : c.outputs) nest.outputs.push_back(walk(t));
  return nest;
}

LoopNest concatNest(const OpContext& c) {
  return joinNest(c, dimensionIndex(c.attributes.getInt("axis", 0), c.outputs[0].shape.size()));
}

std::vector<int64_t> splitSizes(const Attributes& a, int64_t extent) {
  std::vector<int64_t> sizes = a.getInts("split");
  if (!sizes.empty()) return sizes;
  constexpr int64_t kMaxParts = 1 << 16;
  const int64_t parts = a.getInt("num_outputs", 2);
  if (parts < 1 || parts > std::min(extent, kMaxParts))
    rejectInputs("cannot split into " + std::to_string(parts));
  for (int64_t i = 0, each = ceilDiv(extent, parts); i < parts; ++i)
    sizes.push_back(std::max<int64_t>(0, std::min(each, extent - i * each)));
  return sizes;
}

std::vector<TensorType> inferSplit(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  const size_t axis = dimensionIndex(a.getInt("axis", 0), in[0].shape.size());
  std::vector<TensorType> out;
  int64_t sum = 0;
  for (int64_t size : splitSizes(a, in[0].shape[axis])) {
    out.push_back(in[0]);
    out.back().shape[axis] = size;
    sum = checkedAdd(sum, size);
  }
  expectEqual(sum, in[0].shape[axis], "the extent of the split dimension");
  return out;
}

LoopNest splitNest(const OpContext& c) {
  return joinNest(c, dimensionIndex(c.attributes.getInt("axis", 0), c.outputs[0].shape.size()));
}

/// Elements that start : end : step selects of `extent`, with ONNX's clamping.
int64_t sliceExtent(int64_t extent, int64_t start, int64_t end, int64_t step) {
  if (step == 0) rejectInputs("a slice has step 0");
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? extent : extent - 1;
  const auto clamp = [&](int64_t v) { return std::clamp(v < 0 ? v + extent : v, low, high); };
  const int64_t from = start < -extent ? (step > 0 ? 0 : -1) : clamp(start);
  const int64_t to = end < -extent ? low : clamp(end);
  const int64_t span = step > 0 ? to - from : from - to;
  const uint64_t stride = step > 0 ? uint64_t(step) : uint64_t(0) - uint64_t(step);
  return span <= 0 ? 0 : static_cast<int64_t>((uint64_t(span) - 1) / stride) + 1;
}

std::vector<int64_t> sliceAxes(const Attributes& a) {
  std::vector<int64_t> axes = a.getInts("axes");
  if (axes.empty())
    for (size_t i = 0; i < a.getInts("starts").size(); ++i) axes.push_back(static_cast<int64_t>(i));
  return axes;
}

std::vector<TensorType> inferSlice(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  const std::vector<int64_t> starts = a.getInts("starts"), ends = a.getInts("ends");
  const std::vector<int64_t> axes = sliceAxes(a), steps = a.getInts("steps");
  if (starts.size() != ends.size() || axes.size() != starts.size() ||
      (!steps.empty() && steps.size() != starts.size()))
    rejectInputs("starts, ends, axes and steps of a slice differ in length");
  TensorType out = in[0];
  for (size_t i = 0; i < axes.size(); ++i) {
    int64_t& extent = out.shape[dimensionIndex(axes[i], out.shape.size())];
    extent = sliceExtent(extent, starts[i], ends[i], steps.empty() ? 1 : steps[i]);
  }
  return {out};
}

LoopNest sliceNest(const OpContext& c) {
  std::vector<bool> same;
  for (size_t i = 0; i < c.inputs[0].shape.size(); ++i)
    same.push_back(c.inputs[0].shape[i] == c.outputs[0].shape[i]);
  const std::vector<int64_t> axes = sliceAxes(c.attributes), steps = c.attributes.getInts("steps");
  for (size_t i = 0; i < steps.size(); ++i)
    if (steps[i] != 1) same[dimensionIndex(axes[i], same.size())] = false;
  return pairedNest(c, same);
}

std::vector<TensorType> inferPad(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  const std::vector<int64_t> pads = a.getInts("pads");
  TensorType out = in[0];
  const size_t rank = out.shape.size();
  if (pads.size() != 2 * rank) rejectInputs("pads do not fit the rank " + std::to_string(rank));
  for (size_t i = 0; i < rank; ++i) {
    out.shape[i] = checkedAdd(checkedAdd(out.shape[i], pads[i]), pads[rank + i]);
    if (out.shape[i] < 0) rejectInputs("pads remove more than there is");
  }
  return {out};
}

LoopNest padNest(const OpContext& c) {
  const std::vector<int64_t> pads = c.attributes.getInts("pads");
  const size_t rank = c.inputs[0].shape.size();
  std::vector<bool> same;
  for (size_t i = 0; i < rank; ++i) same.push_back(pads[i] == 0 && pads[rank + i] == 0);
  return pairedNest(c, same);
}

std::vector<TensorType> inferExpand(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  const Shape shape = a.getInts("shape");
  elementCount(shape);
  return {{in[0].dtype, broadcast(in[0].shape, shape)}};
}

std::vector<TensorType> inferTile(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  const std::vector<int64_t> repeats = a.getInts("repeats");
  TensorType out = in[0];
  if (repeats.size() != out.shape.size()) rejectInputs("repeats do not fit the rank");
  for (size_t i = 0; i < repeats.size(); ++i) out.shape[i] = checkedMul(out.shape[i], repeats[i]);
  elementCount(out.shape);
  return {out};
}

LoopNest tileNest(const OpContext& c) {
  std::vector<bool> same;
  for (int64_t n : c.attributes.getInts("repeats")) same.push_back(n == 1);
  return pairedNest(c, same);
}

std::vector<TensorType> inferResize(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  TensorType out = in[0];
  if (a.has("sizes")) {
    out.shape = a.getInts("sizes");
    elementCount(out.shape);
    expectRank(out, in[0].shape.size(), in[0].shape.size());
    return {out};
  }
  const Attribute* found = a.find("scales");
  const auto* scales = found ? std::get_if<std::vector<double>>(found) : nullptr;
  if (!scales || scales->size() != out.shape.size()) rejectInputs("scales do not fit the rank");
  for (size_t i = 0; i < scales->size(); ++i) {
    const double extent = std::floor(static_cast<double>(out.shape[i]) * (*scales)[i]);
    if (!(extent >= 1 && extent < 1e15)) rejectInputs("a scale is not positive and finite");
    out.shape[i] = static_cast<int64_t>(extent);
  }
  return {out};
}

LoopNest resizeNest(const OpContext& c) {
  std::vector<bool> same;
  for (size_t i = 0; i < c.inputs[0].shape.size(); ++i)
    same.push_back(c.inputs[0].shape[i] == c.outputs[0].shape[i]);
  return pairedNest(c, same);
}

std::vector<TensorType> inferBlocks(const Attributes& a, Types in, bool toSpace) {
  expectInputs(in, 1, 1);
  expectRank(in[0], 4, 4);
  const int64_t block = a.getInt("blocksize", 1);
  const int64_t area = block > 0 ? checkedMul(block, block) : 0;
  const Shape& s = in[0].shape;
  if (area == 0 || (toSpace ? s[1] % area : s[2] % block + s[3] % block) != 0)
    rejectInputs("blocksize " + std::to_string(block) + " does not divide " + shapeText(s));
  if (toSpace)
    return {{in[0].dtype, {s[0], s[1] / area, checkedMul(s[2], block), checkedMul(s[3], block)}}};
  return {{in[0].dtype, {s[0], checkedMul(s[1], area), s[2] / block, s[3] / block}}};
}

std::vector<TensorType> inferDepthToSpace(const Attributes& a, Types in) {
  return inferBlocks(a, in, true);
}

std::vector<TensorType> inferSpaceToDepth(const Attributes& a, Types in) {
  return inferBlocks(a, in, false);
}

LoopNest blocksNest(const OpContext& c) {
  return unchangedExcept(c, {1, 2, 3});
}

std::vector<TensorType> inferMatrix(const Attributes&, Types in) {
  expectInputs(in, 1, 1);
  expectRank(in[0], 2);
  return {in[0]};
}

LoopNest matrixNest(const OpContext& c) {
  return unchangedExcept(c, {-1, -2});
}

LoopNest alongAxis(const OpContext& c) {
  return unchangedExcept(c, {c.attributes.getInt("axis", 0)});
}

std::vector<TensorType> inferReverse(const Attributes& a, Types in) {
  expectInputs(in, 1, 2);
  expectRank(in[0], 2);
  if (in.size() == 2)
    expectEqual(in[1].elements(),
                in[0].shape[dimensionIndex(a.getInt("batch_axis", 1), in[0].shape.size())],
                "the batch");
  return {in[0]};
}

/// Lengths of sequences walk the batch.
LoopNest reverseNest(const OpContext& c) {
  LoopNest nest = unchangedExcept(c, {c.attributes.getInt("time_axis", 0)});
  const size_t rank = c.inputs[0].shape.size();
  if (c.inputs.size() == 2)
    nest.inputs.push_back(
        {nest.inputs[0][dimensionIndex(c.attributes.getInt("batch_axis", 1), rank)]});
  return nest;
}

SlotSet needsLengths(const OpContext& c, int) {
  return {c.inputs.size() == 2 ? 0b10u : 0u, 0};
}

std::vector<TensorType> inferAxis(const Attributes& a, Types in) {
  expectInputs(in, 1, 2);
  if (!in[0].shape.empty()) dimensionIndex(a.getInt("axis", 0), in[0].shape.size());
  return {in[0]};
}

std::vector<TensorType> inferEyeLike(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  expectRank(in[0], 2, 2);
  return {{a.has("dtype") ? parseDType(a.getString("dtype", "fp32")) : in[0].dtype, in[0].shape}};
}

std::vector<TensorType> inferRandomLike(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  return {{a.has("dtype") ? parseDType(a.getString("dtype", "fp32")) : in[0].dtype, in[0].shape}};
}

std::vector<TensorType> inferOneHot(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  TensorType out{parseDType(a.getString("dtype", "fp32")), in[0].shape};
  const size_t axis = dimensionIndex(a.getInt("axis", -1), out.shape.size() + 1);
  out.shape.insert(out.shape.begin() + static_cast<int64_t>(axis), a.getInt("depth", 1));
  elementCount(out.shape);
  return {out};
}

LoopNest oneHotNest(const OpContext& c) {
  LoopNest nest;
  const Shape& shape = c.outputs[0].shape;
  const size_t axis = dimensionIndex(c.attributes.getInt("axis", -1), shape.size());
  TensorWalk in, out;
  for (size_t i = 0; i < shape.size(); ++i) {
    const AxisKind kind = i == axis ? AxisKind::opaque : AxisKind::parallel;
    out.push_back({nest.addAxis(dimName(i), shape[i], kind)});
    if (i != axis) in.push_back(out.back());
  }
  nest.inputs.push_back(in);
  nest.outputs.push_back(out);
  return nest;
}

std::vector<TensorType> inferNonZero(const Attributes&, Types in) {
  expectInputs(in, 1, 1);
  return {{DType::i64, {static_cast<int64_t>(in[0].shape.size()), in[0].elements()}}};
}

LoopNest nonZeroNest(const OpContext& c) {
  LoopNest nest;
  for (auto [types, walks] :
       {std::pair{c.inputs, &nest.inputs}, std::pair{c.outputs, &nest.outputs}})
    for (const TensorType& t : types) {
      TensorWalk walk;
      for (int8_t axis : addDims(nest, t.shape, AxisKind::opaque)) walk.push_back({axis});
      walks->push_back(walk);
    }
  return nest;
}

constexpr OperatorDef movement(std::string_view name, decltype(OperatorDef::infer) infer,
                               decltype(OperatorDef::nest) nest,
                               GradientKind gradient = GradientKind::fused, bool linear = false,
                               decltype(OperatorDef::bytes) bytes = nullptr) {
  OperatorDef def;
  def.name = name;
  def.opClass = OpClass::movement;
  def.infer = infer;
  def.nest = nest;
  def.flops = nothing;
  def.bytes = bytes;
  def.gradient = gradient;
  def.linear = linear;
  return def;
}

constexpr GradientKind kFused = GradientKind::fused, kNone = GradientKind::none;

/// Where the parts lie, also of operands without a gradient. The axis is never split.
Attributes concatParts(const OpContext& c) {
  std::vector<int64_t> parts;
  for (const TensorType& t : c.inputs)
    parts.push_back(t.shape[dimensionIndex(c.attributes.getInt("axis", 0), t.shape.size())]);
  return {{"parts", parts}};
}

constexpr OperatorDef concat() {
  OperatorDef def = movement("Concat", inferConcat, concatNest);
  def.gradientAttributes = concatParts;
  return def;
}

constexpr OperatorDef reverseSequence() {
  OperatorDef def = movement("ReverseSequence", inferReverse, reverseNest);
  def.needs = needsLengths;
  return def;
}

constexpr OperatorDef kMovements[] = {
    movement("Transpose", inferTranspose, transposeNest, kFused, true),
    concat(),
    movement("Split", inferSplit, splitNest),
    movement("Slice", inferSlice, sliceNest, kFused, false, outputTwice),
    movement("Pad", inferPad, padNest),
    movement("Expand", inferExpand, broadcastNest, kFused, true),
    movement("Tile", inferTile, tileNest),
    movement("Resize", inferResize, resizeNest),
    movement("DepthToSpace", inferDepthToSpace, blocksNest),
    movement("SpaceToDepth", inferSpaceToDepth, blocksNest),
    movement("Trilu", inferMatrix, matrixNest),
    reverseSequence(),
    movement("Compress", inferAxis, alongAxis, kNone),
    movement("EyeLike", inferEyeLike, matrixNest, kNone),
    movement("OneHot", inferOneHot, oneHotNest, kNone),
    movement("RandomLike", inferRandomLike, broadcastNest, kNone),
    movement("NonZero", inferNonZero, nonZeroNest, kNone)};

}  // namespace

std::span<const OperatorDef> movementDefs() {
  return kMovements;
}

}  // namespace meshplan
