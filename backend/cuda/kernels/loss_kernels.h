// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "backend/cuda/cuda_kernels.h"

/// Kernels of the losses (losses.cu, cross_entropy.cu).
namespace meshplan::device {

/// Where a loss goes: one number of fp32 or fp64.
struct LossTarget {
  void* at;
  bool wide;

  __device__ void set(double value) const {
    if (wide)
      *static_cast<double*>(at) = value;
    else
      *static_cast<float*>(at) = static_cast<float>(value);
  }
};
inline LossTarget lossTarget(const TensorView& loss) {
  return {loss.data, loss.type.dtype == DType::f64};
}

void crossEntropy(CudaContext& context, const KernelCall& call);
void crossEntropyGradient(CudaContext& context, const KernelCall& call);

}  // namespace meshplan::device
