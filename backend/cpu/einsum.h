// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/cpu_kernels.h"

namespace meshplan {

/// Einstein summation. Operands are multiplied from left to right, each pair as one batched product
/// of copies with the letters in order; a letter that is summed in one operand alone, or repeated
/// in it (a diagonal), is worked off first. The gradient of an operand is the summation of the
/// incoming gradient with all other operands.
void einsum(CpuContext& context, const KernelCall& call);
void einsumGradient(CpuContext& context, const KernelCall& call);

}  // namespace meshplan
