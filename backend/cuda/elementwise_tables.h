// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/cuda_kernels.h"

namespace meshplan {

/// The parts of the elementwise family, one file each; cudaElementwiseKernels() joins them.
std::span<const CudaKernels> cudaUnaryKernels();
std::span<const CudaKernels> cudaBinaryKernels();
std::span<const CudaKernels> cudaGatedKernels();
std::span<const CudaKernels> cudaDropoutKernels();
std::span<const CudaKernels> cudaRotaryKernels();

}  // namespace meshplan
