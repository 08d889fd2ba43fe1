// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/window_runs.h"

namespace meshplan {

/// A convolution from `channels` x `in` to `filters` x `out` per group, of which a transposed
/// convolution is the gradient with respect to the input. Weights are
/// [groups * filters, channels, kernel...].
struct ConvolutionGeometry : WindowGeometry {
  int64_t batch = 1, groups = 1, channels = 1, filters = 1;  // channels and filters per group

  /// Every output position reads one input position, its own.
  bool isPointwise() const;
};

/// From the types of a forward convolution.
ConvolutionGeometry geometryOf(const Attributes& attributes, const TensorType& x,
                               const TensorType& w, const TensorType& y);
/// From the types of a transposed convolution: of the convolution from y to x.
ConvolutionGeometry transposedGeometryOf(const Attributes& attributes, const TensorType& x,
                                         const TensorType& w, const TensorType& y);

/// Which operand is made from the two others.
enum class ConvolutionPass { output, input, weights };

/// x[batch, groups * channels, in...], w, y[batch, groups * filters, out...]; one of them is
/// written, or added to.
struct ConvolutionData {
  TensorView x, w, y;
  const TensorView* bias = nullptr;  // of pass `output`: per filter
  bool accumulate = false;           // of pass `weights`
};

/// patch_convolution.cpp: any floating dtype and geometry, as products with patches of the input.
void convolvePatches(CpuContext& context, const ConvolutionGeometry& geometry, ConvolutionPass pass,
                     const ConvolutionData& data);

}  // namespace meshplan
