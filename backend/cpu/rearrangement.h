// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "backend/cpu/lines.h"
#include "backend/cpu/strided.h"

/// Operators that give elements other places, for every device.
namespace meshplan::rearrangement {

inline StridedBox flatBox(int64_t elements) {
  StridedBox box;
  box.add(elements, 1, 1);
  return box;
}

template <class Context>
void copyForward(Context& context, const KernelCall& call) {
  copyBox(context, flatBox(call.inputs[0].type.elements()), call.inputs[0], call.outputs[0]);
}
template <class Context>
void copyBackward(Context& context, const KernelCall& call) {
  copyBox(context, flatBox(call.inputs[0].type.elements()), *call.outputGradient(0),
          *call.inputGradient(0));
}

inline StridedBox transposeBox(const Attributes& attributes, const Shape& x, const Shape& y) {
  std::vector<int64_t> perm = attributes.getInts("perm");
  if (perm.empty())
    for (size_t d = x.size(); d-- > 0;) perm.push_back(static_cast<int64_t>(d));
  const std::vector<int64_t> from = denseStrides(x), to = denseStrides(y);
  StridedBox box;
  for (size_t d = 0; d < y.size(); ++d)
    box.add(y[d], from[dimensionIndex(perm[d], x.size())], to[d]);
  return box;
}

template <class Context>
void transposeForward(Context& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  copyBox(context, transposeBox(call.op->attributes, x.type.shape, y.type.shape), x, y);
}
template <class Context>
void transposeBackward(Context& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  copyBox(context, transposeBox(call.op->attributes, dx.type.shape, dy.type.shape).reversed(), dy,
          dx);
}

/// One part of a tensor along an axis, from element `begin` of it on.
inline StridedBox partBox(const Lines& whole, const Lines& part, int64_t begin) {
  StridedBox box;
  box.add(part.outer, whole.extent * whole.inner, part.extent * part.inner);
  box.add(part.extent * part.inner, 1, 1);
  box.fromOffset = begin * whole.inner;
  return box;
}

template <class Context>
void concatForward(Context& context, const KernelCall& call) {
  const int64_t axis = call.op->attributes.getInt("axis", 0);
  const TensorView& y = call.outputs[0];
  const Lines whole(y.type.shape, axis);
  int64_t begin = 0;
  std::vector<BoxCopy> copies;
  for (const TensorView& x : call.inputs) {
    const Lines part(x.type.shape, axis);
    copies.push_back({partBox(whole, part, begin).reversed(), x, y});
    begin += part.extent;
  }
  copyBoxes(context, copies);
}

template <class Context>
void concatBackward(Context& context, const KernelCall& call) {
  const int64_t axis = call.op->attributes.getInt("axis", 0);
  const std::vector<int64_t> parts = call.op->attributes.getInts("parts");
  const TensorView& dy = *call.outputGradient(0);
  const Lines whole(dy.type.shape, axis);
  int64_t begin = 0;
  std::vector<BoxCopy> copies;
  for (size_t i = 0; i < parts.size(); begin += parts[i], ++i)
    if (const TensorView* dx = call.inputGradient(i))
      copies.push_back({partBox(whole, Lines(dx->type.shape, axis), begin), dy, *dx});
  copyBoxes(context, copies);
}

template <class Context>
void splitForward(Context& context, const KernelCall& call) {
  const int64_t axis = call.op->attributes.getInt("axis", 0);
  const TensorView& x = call.inputs[0];
  const Lines whole(x.type.shape, axis);
  int64_t begin = 0;
  std::vector<BoxCopy> copies;
  for (const TensorView& y : call.outputs) {
    const Lines part(y.type.shape, axis);
    copies.push_back({partBox(whole, part, begin), x, y});
    begin += part.extent;
  }
  copyBoxes(context, copies);
}

/// Extents of the parts of a split, as far as attributes say; see OperatorDef Split.
inline std::vector<int64_t> splitExtents(const Attributes& attributes, int64_t extent) {
  std::vector<int64_t> extents = attributes.getInts("split");
  if (!extents.empty()) return extents;
  const int64_t parts = attributes.getInt("num_outputs", 2), each = ceilDiv(extent, parts);
  for (int64_t i = 0; i < parts; ++i)
    extents.push_back(std::max<int64_t>(0, std::min(each, extent - i * each)));
  return extents;
}

template <class Context>
void splitBackward(Context& context, const KernelCall& call) {
  const int64_t axis = call.op->attributes.getInt("axis", 0);
  const TensorView& dx = *call.inputGradient(0);
  const Lines whole(dx.type.shape, axis);
  const std::vector<int64_t> extents = splitExtents(call.op->attributes, whole.extent);
  int64_t begin = 0;
  std::vector<BoxCopy> copies;
  for (size_t i = 0; i < extents.size(); begin += extents[i], ++i)
    if (const TensorView* dy = call.outputGradient(i))
      copies.push_back({partBox(whole, Lines(dy->type.shape, axis), begin).reversed(), *dy, dx});
  if (copies.size() < extents.size()) fillZero(context, dx);
  copyBoxes(context, copies);
}

template <class Context>
void expandForward(Context& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  copyBox(context, broadcastBox(y.type.shape, x.type.shape).reversed(), x, y);
}
template <class Context>
void expandBackward(Context& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  sumBox(context, broadcastBox(dy.type.shape, dx.type.shape), dy, dx);
}

/// From the tiled tensor to the tile.
inline StridedBox tileBox(const Shape& tiled, const Shape& tile) {
  const std::vector<int64_t> from = denseStrides(tiled), to = denseStrides(tile);
  StridedBox box;
  for (size_t d = 0; d < tile.size(); ++d) {
    box.add(tile[d] == 0 ? 0 : tiled[d] / tile[d], tile[d] * from[d], 0);
    box.add(tile[d], from[d], to[d]);
  }
  return box;
}

template <class Context>
void tileForward(Context& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  copyBox(context, tileBox(y.type.shape, x.type.shape).reversed(), x, y);
}
template <class Context>
void tileBackward(Context& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  sumBox(context, tileBox(dy.type.shape, dx.type.shape), dy, dx);
}

/// Depth n, (b, b, c) or (c, b, b), h, w to space n, c, h·b, w·b.
inline StridedBox blocksBox(const Attributes& attributes, const Shape& depth, const Shape& space) {
  const int64_t b = attributes.getInt("blocksize", 1);
  const bool depthFirst = attributes.getString("mode", "DCR") == "DCR";
  const int64_t c = space[1], h = depth[2], w = depth[3];
  const std::vector<int64_t> from = denseStrides(depth), to = denseStrides(space);
  StridedBox box;
  box.add(depth[0], from[0], to[0]);
  box.add(b, from[1] * (depthFirst ? b * c : b), to[2]);
  box.add(b, from[1] * (depthFirst ? c : 1), to[3]);
  box.add(c, from[1] * (depthFirst ? 1 : b * b), to[1]);
  box.add(h, from[2], to[2] * b);
  box.add(w, from[3], to[3] * b);
  return box;
}

/// In SpaceToDepth, ONNX knows only depth first.
template <bool gradient, bool toSpace, class Context>
void blocks(Context& context, const KernelCall& call) {
  const TensorView& from = gradient ? *call.outputGradient(0) : call.inputs[0];
  const TensorView& to = gradient ? *call.inputGradient(0) : call.outputs[0];
  const bool intoSpace = toSpace != gradient;
  const StridedBox box =
      intoSpace ? blocksBox(call.op->attributes, from.type.shape, to.type.shape)
                : blocksBox(call.op->attributes, to.type.shape, from.type.shape).reversed();
  copyBox(context, box, from, to);
}

/// Their kernels for a device: copyBox, copyBoxes, sumBox and fillZero of its Context do the work.
template <class Kernels, class Context>
constexpr auto table() {
  return std::array<Kernels, 11>{{
      {"Reshape", copyForward<Context>, copyBackward<Context>},
      {"Flatten", copyForward<Context>, copyBackward<Context>},
      {"Squeeze", copyForward<Context>, copyBackward<Context>},
      {"Unsqueeze", copyForward<Context>, copyBackward<Context>},
      {"Transpose", transposeForward<Context>, transposeBackward<Context>},
      {"Concat", concatForward<Context>, concatBackward<Context>},
      {"Split", splitForward<Context>, splitBackward<Context>},
      {"Expand", expandForward<Context>, expandBackward<Context>},
      {"Tile", tileForward<Context>, tileBackward<Context>},
      {"DepthToSpace", blocks<false, true, Context>, blocks<true, true, Context>},
      {"SpaceToDepth", blocks<false, false, Context>, blocks<true, false, Context>},
  }};
}

}  // namespace meshplan::rearrangement
