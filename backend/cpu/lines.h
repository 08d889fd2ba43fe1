// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/blocks.h"
#include "core/operators/support.h"

namespace meshplan {

/// The lines of a dense tensor along one axis, in row-major order of the other dimensions.
struct Lines {
  Lines(const Shape& shape, int64_t axis) {
    if (shape.empty()) return;
    const size_t at = dimensionIndex(axis, shape.size());
    for (size_t d = 0; d < at; ++d) outer *= shape[d];
    for (size_t d = at + 1; d < shape.size(); ++d) inner *= shape[d];
    extent = shape[at];
  }
  int64_t count() const { return outer * inner; }
  int64_t place(int64_t line, int64_t i) const {
    return (line / inner * extent + i) * inner + line % inner;
  }

  int64_t outer = 1, extent = 1, inner = 1;
};

template <class A>
void readLine(const TensorView& tensor, const Lines& lines, int64_t line, A* values) {
  const int64_t block = lines.inner == 1 ? lines.extent : 1;
  for (int64_t i = 0; i < lines.extent; i += block) {
    const A* loaded = loadBlock(tensor, lines.place(line, i), block, values + i);
    if (loaded != values + i) std::copy_n(loaded, block, values + i);
  }
}

template <class A>
void writeLine(const TensorView& tensor, const Lines& lines, int64_t line, const A* values) {
  const int64_t block = lines.inner == 1 ? lines.extent : 1;
  for (int64_t i = 0; i < lines.extent; i += block)
    storeBlock(tensor, lines.place(line, i), block, values + i);
}

}  // namespace meshplan
