// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/cuda_context.h"

namespace meshplan {

// Attention without keeping the scores (implementations flash and flash-1), forward and every
// gradient of one backward call; a row that sees no key gives zeros and a log-sum-exp of minus
// infinity.

/// Any extents, masks and dropout, without tensor cores.
void plainAttention(CudaContext& context, const KernelCall& call);
void plainAttentionGradient(CudaContext& context, const KernelCall& call);
/// The gradient of the mask alone, if the call wants it.
void attentionMaskGradient(CudaContext& context, const KernelCall& call);

/// On tensor cores: bf16 and fp16, head sizes that are multiples of 8 up to 128, a positive scale,
/// GPUs of compute capability 8.0 and later.
bool tensorAttentionTakes(const CudaContext& context, const KernelCall& call);
void tensorAttention(CudaContext& context, const KernelCall& call);
void tensorAttentionGradient(CudaContext& context, const KernelCall& call);

/// Implementations that keep the probabilities: math and fused-softmax.
void mathAttention(CudaContext& context, const KernelCall& call);
void mathAttentionGradient(CudaContext& context, const KernelCall& call);

/// sums[row] = sum over columns of a b: what the softmax's gradient takes from every score, from
/// o and its gradient; fp64 for fp64, else fp32.
void rowProducts(CudaContext& context, const TensorView& a, const TensorView& b, void* sums);

}  // namespace meshplan
