// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/unary.cpp.
#include "backend/cuda/cuda_kernels.h"

namespace meshplan {

std::span<const CudaKernels> cudaElementwiseKernels() {
  return {};
}

}  // namespace meshplan
