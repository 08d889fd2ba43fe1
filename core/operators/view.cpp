// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "core/operators/families.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

double nothing(const OpContext&) {
  return 0;
}

/// One side of a reshape while its dimensions are taken apart from the front.
struct Side {
  const Shape& shape;
  std::vector<std::vector<int8_t>> axes;  // per dimension, outermost first
  size_t dim = 0;
  int64_t rest = 1;  // what is left of the current dimension

  explicit Side(const Shape& s) : shape(s), axes(s.size()) { load(); }
  bool done() const { return dim == shape.size(); }
  bool untouched() const { return axes[dim].empty(); }
  void load() { rest = done() ? 1 : shape[dim]; }
  void open(int8_t axis) { axes[dim].push_back(axis); }
  void take(int8_t axis, int64_t extent) {
    axes[dim].push_back(axis);
    rest /= extent;
    if (rest == 1) ++dim, load();
  }
};

/// Walks the rest of a dimension that has no counterpart on the other side; returns its extent.
int64_t takeAlone(LoopNest& nest, Side& side) {
  const int64_t extent = side.rest;
  side.take(nest.addAxis("inner", extent, AxisKind::opaque), extent);
  return extent;
}

/// A dimension of extent 1 without a partner of its own opens the merged dimension it meets, so
/// that a batch of one stays visible in it.
void takeSingle(LoopNest& nest, Side& single, Side& other) {
  const bool opens = other.untouched();
  const int8_t axis = nest.addAxis("dim", 1, opens ? AxisKind::parallel : AxisKind::opaque);
  if (opens) other.open(axis);
  single.take(axis, 1);
}

/// Skips to the next place where both sides have the same number of elements behind them.
void skipGroup(LoopNest& nest, Side& in, Side& out) {
  int64_t before = takeAlone(nest, in), after = takeAlone(nest, out);
  while (before != after) {
    if (before < after ? in.done() : out.done()) return;
    if (before < after)
      before *= takeAlone(nest, in);
    else
      after *= takeAlone(nest, out);
  }
}

void matchNext(LoopNest& nest, Side& in, Side& out) {
  const int64_t common = std::gcd(in.rest, out.rest);
  if (in.rest != out.rest && in.rest == 1) return takeSingle(nest, in, out);
  if (in.rest != out.rest && out.rest == 1) return takeSingle(nest, out, in);
  if (common == 1 && in.rest != 1) return skipGroup(nest, in, out);
  const int8_t axis = nest.addAxis("dim", common);
  in.take(axis, common);
  out.take(axis, common);
}

/// An axis can only be split where it is the outermost factor of its dimension on both sides.
void closeInner(LoopNest& nest, const Side& side) {
  for (const auto& axes : side.axes) {
    bool outermost = true;
    for (int8_t axis : axes) {
      Axis& a = nest.axes[static_cast<size_t>(axis)];
      if (!outermost) a.kind = AxisKind::opaque;
      if (a.extent > 1) outermost = false;
    }
  }
}

DimWalk walkOf(LoopNest& nest, std::vector<int8_t> axes) {
  const auto single = [&](int8_t a) { return nest.axes[static_cast<size_t>(a)].extent == 1; };
  if (axes.size() > 3) axes.erase(std::remove_if(axes.begin() + 1, axes.end(), single), axes.end());
  if (axes.size() > 3) {
    int64_t extent = 1;
    for (size_t i = 2; i < axes.size(); ++i)
      extent *= nest.axes[static_cast<size_t>(axes[i])].extent;
    axes.resize(2);
    axes.push_back(nest.addAxis("inner", extent, AxisKind::opaque));
  }
  DimWalk walk;
  if (axes.size() > 0) walk.outer = axes[0];
  if (axes.size() > 1) (axes.size() > 2 ? walk.middle : walk.inner) = axes[1];
  if (axes.size() > 2) walk.inner = axes[2];
  return walk;
}

TensorWalk walkOf(LoopNest& nest, const Side& side) {
  TensorWalk walk;
  for (const auto& axes : side.axes) walk.push_back(walkOf(nest, axes));
  return walk;
}

LoopNest unrelated(const OpContext& c) {
  LoopNest nest;
  nest.inputs.push_back(broadcastWalk(c.inputs[0].shape, c.inputs[0].shape,
                                      addDims(nest, c.inputs[0].shape, AxisKind::opaque)));
  nest.outputs.push_back(broadcastWalk(c.outputs[0].shape, c.outputs[0].shape,
                                       addDims(nest, c.outputs[0].shape, AxisKind::opaque)));
  return nest;
}

LoopNest reshapeNest(const OpContext& c) {
  if (c.inputs[0].elements() == 0 || c.inputs[0].elements() != c.outputs[0].elements())
    return unrelated(c);
  LoopNest nest;
  Side in(c.inputs[0].shape), out(c.outputs[0].shape);
  while (!in.done() && !out.done()) matchNext(nest, in, out);
  while (!in.done()) takeAlone(nest, in);
  while (!out.done()) takeAlone(nest, out);
  closeInner(nest, in);
  closeInner(nest, out);
  nest.inputs.push_back(walkOf(nest, in));
  nest.outputs.push_back(walkOf(nest, out));
  return nest;
}

/// The dimensions of `longer` that are not in `dropped` pair up, in order, with those of the other
/// tensor.
LoopNest droppedNest(const OpContext& c, const std::vector<size_t>& dropped, bool squeeze) {
  LoopNest nest;
  TensorWalk longer, shorter;
  const Shape& shape = squeeze ? c.inputs[0].shape : c.outputs[0].shape;
  for (size_t i = 0; i < shape.size(); ++i) {
    const bool gone = std::find(dropped.begin(), dropped.end(), i) != dropped.end();
    const int8_t axis = nest.addAxis(dimName(i), shape[i]);
    longer.push_back({axis});
    if (!gone) shorter.push_back({axis});
  }
  nest.inputs.push_back(squeeze ? longer : shorter);
  nest.outputs.push_back(squeeze ? shorter : longer);
  return nest;
}

std::vector<size_t> axesOf(const Attributes& a, size_t rank) {
  std::vector<size_t> axes;
  for (int64_t axis : a.getInts("axes")) axes.push_back(dimensionIndex(axis, rank));
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end())
    rejectInputs("an axis is named twice");
  return axes;
}

std::vector<size_t> squeezedAxes(const Attributes& a, const Shape& shape) {
  if (a.has("axes")) return axesOf(a, shape.size());
  std::vector<size_t> axes;
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] == 1) axes.push_back(i);
  return axes;
}

std::vector<TensorType> inferReshape(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  Shape shape = a.getInts("shape");
  int64_t known = 1, wildcard = -1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0 && i < in[0].shape.size() && !a.getInt("allowzero", 0))
      shape[i] = in[0].shape[i];
    if (shape[i] == -1 && wildcard >= 0) rejectInputs("two dimensions of a reshape are -1");
    if (shape[i] == -1)
      wildcard = static_cast<int64_t>(i);
    else
      known = checkedMul(known, shape[i]);
  }
  if (wildcard >= 0 && known > 0) shape[static_cast<size_t>(wildcard)] = in[0].elements() / known;
  if (elementCount(shape) != in[0].elements())
    rejectInputs("cannot reshape " + shapeText(in[0].shape) + " to " + shapeText(shape));
  return {{in[0].dtype, shape}};
}

std::vector<TensorType> inferFlatten(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  const int64_t axis = a.getInt("axis", 1), rank = static_cast<int64_t>(in[0].shape.size());
  if (axis < -rank || axis > rank) rejectInputs("axis " + std::to_string(axis) + " is outside");
  const auto cut = in[0].shape.begin() + (axis < 0 ? axis + rank : axis);
  return {{in[0].dtype,
           {elementCount({in[0].shape.begin(), cut}), elementCount({cut, in[0].shape.end()})}}};
}

std::vector<TensorType> inferSqueeze(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  TensorType out{in[0].dtype, {}};
  const std::vector<size_t> axes = squeezedAxes(a, in[0].shape);
  for (size_t i = 0; i < in[0].shape.size(); ++i) {
    const bool gone = std::binary_search(axes.begin(), axes.end(), i);
    if (gone && in[0].shape[i] != 1)
      rejectInputs("cannot squeeze dimension " + std::to_string(i) + " of " +
                   shapeText(in[0].shape));
    if (!gone) out.shape.push_back(in[0].shape[i]);
  }
  return {out};
}

std::vector<TensorType> inferUnsqueeze(const Attributes& a, Types in) {
  expectInputs(in, 1, 1);
  constexpr size_t kMaxRank = 64;
  TensorType out = in[0];
  const size_t rank = out.shape.size() + a.getInts("axes").size();
  if (rank > kMaxRank) rejectInputs("a tensor would have rank " + std::to_string(rank));
  for (size_t axis : axesOf(a, rank))
    out.shape.insert(out.shape.begin() + static_cast<int64_t>(axis), 1);
  return {out};
}

LoopNest squeezeNest(const OpContext& c) {
  return droppedNest(c, squeezedAxes(c.attributes, c.inputs[0].shape), true);
}

LoopNest unsqueezeNest(const OpContext& c) {
  return droppedNest(c, axesOf(c.attributes, c.outputs[0].shape.size()), false);
}

constexpr OperatorDef view(std::string_view name, decltype(OperatorDef::infer) infer,
                           decltype(OperatorDef::nest) nest) {
  OperatorDef def;
  def.name = name;
  def.opClass = OpClass::view;
  def.infer = infer;
  def.nest = nest;
  def.flops = nothing;
  def.bytes = nothing;
  def.gradient = GradientKind::fused;
  def.linear = true;
  return def;
}

constexpr OperatorDef kViews[] = {
    view("Reshape", inferReshape, reshapeNest), view("Flatten", inferFlatten, reshapeNest),
    view("Squeeze", inferSqueeze, squeezeNest), view("Unsqueeze", inferUnsqueeze, unsqueezeNest)};

}  // namespace

std::span<const OperatorDef> viewDefs() {
  return kViews;
}

}  // namespace meshplan
