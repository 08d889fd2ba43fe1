// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/cpu/onednn.h"

namespace meshplan {
namespace {

/// Rows of b that stay in the first-level cache while all rows of a pass by.
constexpr int64_t kDepth = 64;

template <class W>
void scaleRow(W* row, int64_t n, W keep) {
  if (keep == 0)
    std::fill_n(row, n, W(0));
  else
    for (int64_t j = 0; j < n; ++j) row[j] *= keep;
}

template <class W>
void addRow(W factor, const Stored<W>& b, int64_t k, W* row, int64_t n) {
  if (b.transposed) {
    for (int64_t j = 0; j < n; ++j) row[j] += factor * b.data[j * b.leading + k];
    return;
  }
  const W* from = b.data + k * b.leading;
  for (int64_t j = 0; j < n; ++j) row[j] += factor * from[j];
}

template <class W>
void multiplyPlain(const ProductExtents& e, W scale, const Stored<W>& a, const Stored<W>& b, W keep,
                   W* c, int64_t leading) {
  for (int64_t i = 0; i < e.m; ++i) scaleRow(c + i * leading, e.n, keep);
  for (int64_t begin = 0; begin < e.k; begin += kDepth)
    for (int64_t i = 0; i < e.m; ++i)
      for (int64_t p = begin; p < std::min(e.k, begin + kDepth); ++p) {
        const W element = a.transposed ? a.data[p * a.leading + i] : a.data[i * a.leading + p];
        addRow(scale * element, b, p, c + i * leading, e.n);
      }
}

}  // namespace

void multiplyHere(const ProductExtents& e, float scale, Stored<float> a, Stored<float> b,
                  float keep, float* c, int64_t leading) {
  multiplyPlain(e, scale, a, b, keep, c, leading);
}

void multiplyHere(const ProductExtents& e, double scale, Stored<double> a, Stored<double> b,
                  double keep, double* c, int64_t leading) {
  multiplyPlain(e, scale, a, b, keep, c, leading);
}

bool multiplyDnnl(CpuContext&, const ProductExtents&, const Matrices&, const Matrices&,
                  const Matrices&, const ProductOptions&) {
  return false;
}

bool convolveDnnl(CpuContext&, const ConvolutionGeometry&, ConvolutionPass,
                  const ConvolutionData&) {
  return false;
}

void prepareDnnl(CpuContext&) {}

std::string dnnlName() {
  return "plain loops for fp32 and bf16";
}

std::string blasName() {
  return "plain loops for fp64";
}

}  // namespace meshplan
