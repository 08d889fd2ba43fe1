// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "planner/matrix_cost.h"

namespace meshplan {

/// Seconds of convolutions on the multiprocessors of one device, without memory and launch:
///   an implicit GEMM  its tiles as in planner/matrix_cost.h, whose reduction only the gradient of
///                     the weight splits, over an efficiency per phase; the gradient of a strided
///                     convolution's input costs `stridedGradient` times as much
///   Winograd          without matrix units, stride 1, kernels of 3 x 3 and more: F(2 x 2, 3 x 3),
///                     16 products instead of 36 (Lavin and Gray, arXiv:1509.09308). Blocks of 32
///                     output tiles x 64 channels in waves, a prologue for each; the weight's
///                     gradient in kernels of its own for each transform, and only from 128
///                     channels on
/// whichever is faster.
class ConvolutionCost {
 public:
  ConvolutionCost(const DeviceSpec& spec, const DeviceParameters& parameters);

  double seconds(const MatrixCost& matrix, const OperatorWork& work) const;

 private:
  double implicitGemm(const MatrixCost& matrix, const OperatorWork& work) const;
  double winograd(const MatrixCost& matrix, const OperatorWork& work) const;

  DeviceParameters parameters_;
  double peak_;
};

}  // namespace meshplan
