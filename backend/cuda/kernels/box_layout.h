// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/strided.h"
#include "backend/cuda/kernels/divisor.h"
#include "core/error.h"

namespace meshplan::device {

/// A StridedBox as kernels take it: the i-th pair of elements in row-major order of its dimensions.
struct BoxLayout {
  static constexpr int kDims = 8;

  BoxLayout() = default;
  explicit BoxLayout(const StridedBox& box)
      : dims(static_cast<int>(box.extents.size())),
        fromOffset(box.fromOffset),
        toOffset(box.toOffset) {
    if (dims > kDims)
      throw Error(ErrorKind::runtime, "the GPU does not move elements over so many dimensions",
                  "reshape the tensors");
    for (int d = 0; d < dims; ++d) {
      const auto at = static_cast<size_t>(d);
      count *= box.extents[at];
      extents[d] = Divisor(box.extents[at] > 0 ? box.extents[at] : 1);
      from[d] = box.from[at];
      to[d] = box.to[at];
    }
  }

  MESHPLAN_INLINE void places(int64_t i, int64_t& fromAt, int64_t& toAt) const {
    fromAt = fromOffset;
    toAt = toOffset;
    for (int d = dims - 1; d > 0; --d) {
      const int64_t next = extents[d].quotient(i), index = i - next * extents[d].by();
      fromAt += index * from[d];
      toAt += index * to[d];
      i = next;
    }
    if (dims == 0) return;
    fromAt += i * from[0];
    toAt += i * to[0];
  }

  int dims = 0;
  int64_t count = 1, fromOffset = 0, toOffset = 0;
  Divisor extents[kDims];
  int64_t from[kDims] = {}, to[kDims] = {};
};

}  // namespace meshplan::device
