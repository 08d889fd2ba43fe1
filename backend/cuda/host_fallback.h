// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// Runs `kernel` of the CPU on copies of the call's tensors in the host's memory and brings the
/// outputs back, waiting for each. For operators that no GPU kernel does: right, not fast. Tensors
/// of fp16, which the CPU does not know, are widened to fp32. A step that does so cannot be
/// captured.
void runOnHost(CudaContext& context, const KernelCall& call,
               const std::function<void(CpuContext&, const KernelCall&)>& kernel);

}  // namespace meshplan
