// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "backend/cpu/simd.h"
#include "backend/cpu/strided.h"
#include "core/operators/support.h"

/// Parts of tensors and their borders, for every device.
namespace meshplan::padding {

/// Where a slice begins in a dimension and how far apart its elements lie, with ONNX's clamping.
/// An axis that is taken whole may be a part of the whole one: it begins at its beginning.
inline StridedBox sliceBox(const Attributes& a, const Shape& x, const Shape& y) {
  std::vector<int64_t> axes = a.getInts("axes"), steps = a.getInts("steps");
  const std::vector<int64_t> starts = a.getInts("starts");
  if (axes.empty())
    for (size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  std::vector<int64_t> from = denseStrides(x);
  StridedBox box;
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t d = dimensionIndex(axes[i], x.size());
    const int64_t step = steps.empty() ? 1 : steps[i];
    if (step == 1 && x[d] == y[d]) continue;
    const int64_t highest = step > 0 ? x[d] : x[d] - 1;
    const int64_t start =
        starts[i] < 0 ? std::max<int64_t>(starts[i], -x[d] - 1) + x[d] : starts[i];
    box.fromOffset += std::clamp<int64_t>(start, 0, std::max<int64_t>(highest, 0)) * from[d];
    from[d] *= step;
  }
  const std::vector<int64_t> to = denseStrides(y);
  for (size_t d = 0; d < y.size(); ++d) box.add(y[d], from[d], to[d]);
  return box;
}

template <class Context>
void sliceForward(Context& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  copyBox(context, sliceBox(call.op->attributes, x.type.shape, y.type.shape), x, y);
}
template <class Context>
void sliceBackward(Context& context, const KernelCall& call) {
  const TensorView &dy = *call.outputGradient(0), &dx = *call.inputGradient(0);
  fillZero(context, dx);
  copyBox(context, sliceBox(call.op->attributes, dx.type.shape, dy.type.shape).reversed(), dy, dx);
}

enum class PadMode { constant, reflect, edge, wrap };

inline PadMode padMode(const Attributes& a) {
  const std::string mode = a.getString("mode", "constant");
  if (mode == "constant") return PadMode::constant;
  if (mode == "reflect") return PadMode::reflect;
  if (mode == "edge") return PadMode::edge;
  if (mode == "wrap") return PadMode::wrap;
  rejectInputs("pad mode '" + mode + "' is unknown");
}

/// The element of an extent that place `i` (outside it too) shows.
MESHPLAN_INLINE int64_t paddedFrom(PadMode mode, int64_t i, int64_t extent) {
  if (i >= 0 && i < extent) return i;
  if (mode == PadMode::edge) return i < 0 ? 0 : extent - 1;
  if (mode == PadMode::wrap) return (i % extent + extent) % extent;
  const int64_t period = extent > 1 ? 2 * (extent - 1) : 1;
  const int64_t folded = (i % period + period) % period;
  return folded < extent ? folded : period - folded;
}

/// The elements that both tensors have: the borders are constant, and may be negative.
inline StridedBox sharedBox(const Attributes& a, const Shape& x, const Shape& y) {
  const std::vector<int64_t> pads = a.getInts("pads"), from = denseStrides(x), to = denseStrides(y);
  StridedBox box;
  for (size_t d = 0; d < x.size(); ++d) {
    const int64_t first = std::max<int64_t>(0, -pads[d]), last = std::min(x[d], y[d] - pads[d]);
    box.add(std::max<int64_t>(0, last - first), from[d], to[d]);
    box.fromOffset += first * from[d];
    box.toOffset += (first + pads[d]) * to[d];
  }
  return box;
}

/// The part of a row of a matrix that stays.
inline std::pair<int64_t, int64_t> keptColumns(bool upper, int64_t k, int64_t row,
                                               int64_t columns) {
  const int64_t diagonal = row + k;
  if (upper) return {std::clamp<int64_t>(diagonal, 0, columns), columns};
  return {0, std::clamp<int64_t>(diagonal + 1, 0, columns)};
}

}  // namespace meshplan::padding
