// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/cuda/matrix.h"

namespace meshplan {

/// One dimension over which products repeat, and how many elements further each operand then lies;
/// 0 where it stays. Products that write the same matrix add up.
struct RepeatedProduct {
  int64_t extent, a, b, c;
};

/// The product for all indices of `repeats`, in as few products as their strides allow: dimensions
/// over which rows or reduced columns continue become part of the matrices, one other a batch.
void multiplyRepeated(CudaContext& context, const MatrixProduct& product,
                      std::vector<RepeatedProduct> repeats);

/// MatMul as in backend/cpu/matmul.h.
void matmulOnGpu(CudaContext& context, const KernelCall& call);
void matmulGradientOnGpu(CudaContext& context, const KernelCall& call);

}  // namespace meshplan
