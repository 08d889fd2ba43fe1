// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/cuda_kernels.h"

namespace meshplan {

/// Parts of the movement family with kernels of their own; cudaMovementKernels() joins them with
/// those that copy strided boxes.
std::span<const CudaKernels> cudaPaddingKernels();
std::span<const CudaKernels> cudaIndexingKernels();

}  // namespace meshplan
