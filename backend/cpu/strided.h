// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "backend/cpu/cpu_kernels.h"

namespace meshplan {

/// Pairs of elements of two tensors: the same index into `extents` gives a place in either, counted
/// in elements from its offset. Strides may be negative; a stride of 0 in `from` repeats elements.
struct StridedBox {
  Shape extents;
  std::vector<int64_t> from, to;
  int64_t fromOffset = 0, toOffset = 0;

  void add(int64_t extent, int64_t fromStride, int64_t toStride) {
    extents.push_back(extent);
    from.push_back(fromStride);
    to.push_back(toStride);
  }
  /// The same pairs the other way round.
  StridedBox reversed() const { return {extents, to, from, toOffset, fromOffset}; }
  /// Orders dimensions by their stride in `to`, largest first, drops those of extent 1 and merges
  /// those that both tensors walk as one.
  void simplify();
};

/// How many elements apart neighbours lie in a dense row-major tensor.
std::vector<int64_t> denseStrides(const Shape& shape);

/// Copies elements of 1, 2, 4 or 8 bytes; no place of `to` may occur twice.
void copyBox(const CpuContext& context, StridedBox box, const void* from, void* to,
             int64_t elementBytes);
/// As above, converting between floating dtypes where the tensors' differ.
void copyBox(const CpuContext& context, const StridedBox& box, const TensorView& from,
             const TensorView& to);

/// Copies that devices may make together: no two write to the same place.
struct BoxCopy {
  StridedBox box;
  TensorView from, to;
};
void copyBoxes(const CpuContext& context, std::span<const BoxCopy> copies);

void fillZero(const CpuContext& context, const TensorView& tensor);

/// Sums floating elements of `from` over the dimensions of stride 0 in `to`, times `factor`; other
/// places of `to` stay as they are. The dtypes may differ.
void sumBox(const CpuContext& context, const StridedBox& box, const TensorView& from,
            const TensorView& to, double factor = 1);

/// The pairs between a tensor and another that broadcasts to it from the right: from the large one,
/// to the small one with stride 0 where it repeats.
StridedBox broadcastBox(const Shape& large, const Shape& small);

}  // namespace meshplan
