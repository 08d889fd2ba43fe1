// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/matrix.h"

namespace meshplan {

/// The gradients of a weight and of the bias beside it: `product`, whose b is dy, and
/// sums[n] = (accumulate ? sums : 0) + the sums of dy[rows, n] over its rows. In one product where
/// the library offers that and it is the faster way, which is timed once per shape and kept with
/// the other choices (backend/cuda/matrix_choices.h), else in two passes.
struct WeightGradient {
  const Operator& op;
  MatrixProduct product;
  const TensorView &dy, &sums;
  bool accumulate = false;
};
void multiplyWithSums(CudaContext& context, const WeightGradient& gradient);

}  // namespace meshplan
