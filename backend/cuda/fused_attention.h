// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/cuda_kernels.h"

namespace meshplan {

/// Whether a library of fused attention does this call (implementation flash), agrees with `own`
/// and takes less time: both run once per shape, on the call's own tensors, when it is first asked
/// outside of a capture; a shape first met in a capture is not taken, nor is any where
/// MatrixSettings::timesCandidates is off. A library that fails says so once on the standard error
/// and is not asked again for that shape. Only deterministic algorithms count. The one library is
/// cuDNN (backend/cuda/libraries/cudnn_attention.cpp), opened when first wanted.
bool fusedAttentionTakes(CudaContext& context, const KernelCall& call, CudaKernel own);
/// Enqueues a call that fusedAttentionTakes.
void fusedAttention(CudaContext& context, const KernelCall& call);

}  // namespace meshplan
