// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/backend/kernel_harness.h"
#include "tests/cuda/gpu_runner.h"

namespace meshplan {

/// The case with its floating inputs rounded to another dtype.
KernelCase inType(DType dtype, const KernelCase& c);

/// Expects the GPU to do, forward, backward and adding to what is there, what the processor does on
/// the same numbers (for fp16, which it does not know: in fp32), and to do it without the host's
/// help. `slack` multiplies the tolerance, which is of numbers near 1; gradients of weights are
/// fp32 where `wideGradients`, else of the case's type.
void expectAgreement(GpuRunner& gpu, const KernelCase& c, double slack = 1,
                     bool wideGradients = false);

}  // namespace meshplan
