// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/cpu_kernels.h"

namespace meshplan {

/// MatMul as numpy's: products of matrices (of a row or a column, where an operand is a vector)
/// over leading dimensions that broadcast; gradients sum over what was broadcast. Products that lie
/// one after another become one larger or one batched product.
void matmul(CpuContext& context, const KernelCall& call);
void matmulGradient(CpuContext& context, const KernelCall& call);

}  // namespace meshplan
