// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// sum[i] += part[i], for fp64, fp32, bf16 and fp16.
void addElements(CudaContext& context, void* sum, const void* part, int64_t count, DType type);

/// The optimizer's step of backend/cpu/optimizer_update.h, with the settings in
/// CudaContext::stepValues. Gradients of fp16 weights carry the step's loss scale, and nothing is
/// updated once they have overflowed.
void updateParameters(CudaContext& context, const ParameterUpdate& update);

/// DeviceStepValues::overflow = 1 if an element, fp32 or fp16, is not finite.
void findOverflow(CudaContext& context, const void* gradient, int64_t count, DType type);

/// Adds `share` times the loss (fp32 or fp64, one element) to that of the step.
void addToLoss(CudaContext& context, const TensorView& loss, double share);

}  // namespace meshplan
