// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/window_runs.h"
#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// What a window sees at every output position: patch(image, row, position) lies at image *
/// imageStride + row * rowStride + position, where a row is an element k of the kernel in a
/// channel, channel * kernel elements + k.
struct Patches {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t imageStride = 0, rowStride = 0;
};

inline constexpr size_t kPatchDims = 3;

/// patches = the elements of images[images, channels, in...], 0 for padding. One dtype.
void loadPatches(CudaContext& context, const WindowGeometry& geometry, int64_t images,
                 int64_t channels, const TensorView& from, const Patches& patches);
/// Each element of images = the sum of the patch elements that stand for it, in the kernel's order.
void sumPatches(CudaContext& context, const WindowGeometry& geometry, int64_t images,
                int64_t channels, const Patches& patches, const TensorView& to);

}  // namespace meshplan
