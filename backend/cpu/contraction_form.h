// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/product.h"

namespace meshplan {

/// What operators of matrix products say about their operands, for processors and GPUs.

inline bool isSet(const KernelCall& call, std::string_view attribute) {
  return call.op->attributes.getInt(attribute, 0) != 0;
}

/// The last two dimensions of a dense tensor, or their transpose.
inline Matrices oriented(const TensorView& view, bool transposed) {
  const Matrices plain = rowMajor(view, view.type.shape.back());
  return transposed ? plain.transposed() : plain;
}

/// Rows of the features that the last dimension holds.
inline int64_t rowsOf(const TensorView& view) {
  const int64_t n = view.type.shape.back();
  return n == 0 ? 0 : view.type.elements() / n;
}

/// The attributes of a Gemm.
struct Gemm {
  bool transA, transB;
  double alpha, beta;

  explicit Gemm(const KernelCall& call)
      : transA(isSet(call, "transA")),
        transB(isSet(call, "transB")),
        alpha(call.op->attributes.getFloat("alpha", 1)),
        beta(call.op->attributes.getFloat("beta", 1)) {}
};

/// How far apart the elements of c, broadcast to m x n, lie.
struct BroadcastStrides {
  int64_t row, column;

  BroadcastStrides(const Shape& c, int64_t m, int64_t n) {
    const int64_t columns = c.empty() ? 1 : c.back();
    const int64_t rows = c.size() < 2 ? 1 : c[c.size() - 2];
    column = columns == n && n != 1 ? 1 : 0;
    row = rows == m && m != 1 ? columns : 0;
  }
};

/// The matrices of a tensor whose first dimension is the experts.
inline Matrices perExpert(const TensorView& view) {
  const Shape& s = view.type.shape;
  return rowMajor(view, s[2], s[1] * s[2]);
}

}  // namespace meshplan
