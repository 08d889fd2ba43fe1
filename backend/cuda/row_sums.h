// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// to[n] = (accumulate ? to : 0) + the sum over all leading dimensions of from[..., n]; the dtypes,
/// fp64, fp32, bf16 or fp16, are independent. With groups > 1 it is from[groups, rows, n] and
/// to[groups, n] (biases of experts). Sums are of fp32, or fp64 where one dtype is; their order
/// depends on shapes and on the machine alone. Uses CudaContext::scratch of kRowSums.
/// Error(runtime) names `op` for other dtypes.
void sumRows(CudaContext& context, const Operator& op, const TensorView& from, const TensorView& to,
             bool accumulate, int64_t groups = 1);
inline constexpr int kRowSums = -1;

}  // namespace meshplan
