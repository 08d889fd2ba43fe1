// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/cuda_kernels.h"

/// Kernels of mixtures of experts (router.cu, moe.cu).
namespace meshplan::device {

void route(CudaContext& context, const KernelCall& call);
void routeGradient(CudaContext& context, const KernelCall& call);

}  // namespace meshplan::device
