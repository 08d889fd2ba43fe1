// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// Einsum as in backend/cpu/einsum.h: one product after another of the operands, moved first where
/// a product cannot read them as they lie. What lies between products is fp32, fp64 under fp64.
void einsumOnGpu(CudaContext& context, const KernelCall& call);
void einsumGradientOnGpu(CudaContext& context, const KernelCall& call);

}  // namespace meshplan
