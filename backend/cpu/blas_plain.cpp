// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cpu/blas.h"

namespace meshplan {
namespace {

/// Rows of b that stay in the first-level cache while all rows of a pass by.
constexpr int64_t kDepth = 64;

void scaleRow(double* row, int64_t n, double keep) {
  if (keep == 0)
    std::fill_n(row, n, 0.0);
  else
    for (int64_t j = 0; j < n; ++j) row[j] *= keep;
}

void addRow(double factor, const BlasMatrix& b, int64_t k, double* row, int64_t n) {
  if (b.transposed) {
    for (int64_t j = 0; j < n; ++j) row[j] += factor * b.data[j * b.leading + k];
    return;
  }
  const double* from = b.data + k * b.leading;
  for (int64_t j = 0; j < n; ++j) row[j] += factor * from[j];
}

}  // namespace

void multiplyBlas(int64_t m, int64_t n, int64_t k, double scale, const BlasMatrix& a,
                  const BlasMatrix& b, double keep, double* c, int64_t leading) {
  for (int64_t i = 0; i < m; ++i) scaleRow(c + i * leading, n, keep);
  for (int64_t begin = 0; begin < k; begin += kDepth)
    for (int64_t i = 0; i < m; ++i)
      for (int64_t p = begin; p < std::min(k, begin + kDepth); ++p) {
        const double element = a.transposed ? a.data[p * a.leading + i] : a.data[i * a.leading + p];
        addRow(scale * element, b, p, c + i * leading, n);
      }
}

std::string blasName() {
  return "plain loops for fp64";
}

}  // namespace meshplan
