// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// Moves elements from any strides to any others, adding up on the way: for all indices of `dims`,
/// to[sum i to] (+)= scale * the sum over all indices of `summed` of from[sum i from + sum j step].
/// No two indices of `dims` may write one element. fp64, fp32, bf16 and fp16, each into each;
/// summed in fp32, fp64 in fp64, one element of the result per thread and always in one order.
struct StridedSum {
  struct Dim {
    int64_t extent, from, to;  // elements from one index to the next
  };
  struct Summed {
    int64_t extent, step;
  };

  std::vector<Dim> dims;  // the last varies fastest
  std::vector<Summed> summed = {};
  const void* from = nullptr;
  DType fromType = DType::f32;
  void* to = nullptr;
  DType toType = DType::f32;
  double scale = 1;
  bool accumulate = false;
};

/// Throws Error(runtime) for other dtypes and for more than 12 dimensions, or 12 summed ones, that
/// do not collapse.
void stridedSum(CudaContext& context, StridedSum sum);

/// to = from in another dtype, or to += from.
void convertElements(CudaContext& context, const void* from, DType fromType, void* to, DType toType,
                     int64_t count, bool accumulate = false);

}  // namespace meshplan
