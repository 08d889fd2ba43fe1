// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Where a window over the spatial dimensions reads: output position o meets input position
/// o * stride + k * dilation - before in its element k of each dimension, padding outside.

#include <algorithm>
#include <cstdint>

#include "core/tensor.h"
#include "core/units.h"

namespace meshplan {

struct WindowGeometry {
  Shape in, out, kernel, strides, dilations, before;

  int64_t inElements() const { return elementCount(in); }
  int64_t outElements() const { return elementCount(out); }
  int64_t kernelElements() const { return elementCount(kernel); }
};

/// Calls f(first input position, first output position, count, input step) for runs of outputs
/// along the last dimension whose input, at a kernel position, is not padding.
template <class F>
void forRuns(const WindowGeometry& g, int64_t kernelIndex, F f) {
  const size_t dims = g.in.size(), last = dims - 1;
  Shape kernel(dims);
  for (size_t d = dims; d-- > 0; kernelIndex /= g.kernel[d]) kernel[d] = kernelIndex % g.kernel[d];
  const auto shift = [&](size_t d) { return kernel[d] * g.dilations[d] - g.before[d]; };
  const int64_t stride = g.strides[last], offset = shift(last);
  const int64_t first = offset >= 0 ? 0 : ceilDiv(-offset, stride);
  const int64_t room = g.in[last] - 1 - offset;
  const int64_t end = room < 0 ? 0 : std::min(g.out[last], room / stride + 1);
  if (end <= first) return;
  for (int64_t row = 0; row < g.outElements() / g.out[last]; ++row) {
    int64_t rest = row, position = 0, scale = 1;
    bool inside = true;
    for (size_t d = last; d-- > 0; rest /= g.out[d]) {
      const int64_t at = rest % g.out[d] * g.strides[d] + shift(d);
      inside = inside && at >= 0 && at < g.in[d];
      position += at * scale;
      scale *= g.in[d];
    }
    if (inside)
      f(position * g.in[last] + first * stride + offset, row * g.out[last] + first, end - first,
        stride);
  }
}

}  // namespace meshplan
