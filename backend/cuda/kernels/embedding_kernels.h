// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/cuda_kernels.h"

/// Kernels that embedding.cu joins with its own (relative_bias.cu).
namespace meshplan::device {

void relativeBias(CudaContext& context, const KernelCall& call);
void relativeBiasGradient(CudaContext& context, const KernelCall& call);
bool takesRelativeBias(const KernelCall& call);

}  // namespace meshplan::device
