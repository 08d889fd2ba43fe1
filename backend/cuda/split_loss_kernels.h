// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// A cross-entropy over ranks that have parts of the vocabulary each: as in
/// backend/cpu/cross_entropy.h, on the GPU.
void crossEntropyStatistics(CudaContext& context, const KernelCall& call,
                            const TensorView& statistics);
void crossEntropyLoss(CudaContext& context, const KernelCall& call, const TensorView& statistics);
void crossEntropyGradient(CudaContext& context, const KernelCall& call,
                          const TensorView& statistics);

}  // namespace meshplan
