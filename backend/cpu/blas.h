// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace meshplan {

/// A stored row-major matrix, or its transpose, with `leading` elements from row to row.
struct BlasMatrix {
  const double* data = nullptr;
  bool transposed = false;
  int64_t leading = 1;
};

/// c = scale * a b + keep * c in fp64 for a of m x k and b of k x n, on the calling thread. By
/// OpenBLAS, or, where the program shall need no library for it, by plain loops.
void multiplyBlas(int64_t m, int64_t n, int64_t k, double scale, const BlasMatrix& a,
                  const BlasMatrix& b, double keep, double* c, int64_t leading);

/// What multiplies, with its version.
std::string blasName();

}  // namespace meshplan
