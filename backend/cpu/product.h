// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "backend/cpu/cpu_kernels.h"

namespace meshplan {

/// A batch of matrices in memory: element (b, i, j) lies `b * batch + i * row + j * column`
/// elements after `data`. One of `row` and `column` is 1 wherever both extents exceed 1.
struct Matrices {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t row = 0, column = 1, batch = 0;

  Matrices transposed() const { return {data, dtype, column, row, batch}; }
  /// The same matrices from `elements` on.
  Matrices from(int64_t elements) const;
};

/// Dense row-major matrices of that many columns.
Matrices rowMajor(const TensorView& view, int64_t columns, int64_t batch = 0);

/// Strides of an extent of 1 mean nothing; libraries want them to look dense: `column` is 1, or
/// `row` is and `column` is at least `rows`.
Matrices plainStrides(Matrices x, int64_t rows, int64_t columns);

struct ProductExtents {
  int64_t m = 1, n = 1, k = 1, batch = 1;
};

struct ProductOptions {
  bool accumulate = false;           // add to c
  double scale = 1;                  // of the product, not of the bias
  const TensorView* bias = nullptr;  // [n], added to every row; excludes accumulate and scale
};

/// c[b] = a[b] b[b] for matrices m x k and k x n. Operands share a dtype: fp32 or fp64, c too, or
/// bf16 summed in fp32 with c in bf16 or fp32. fp32 and bf16 through oneDNN with primitives kept in
/// the context, fp64 through OpenBLAS on the context's threads; both by plain loops where the
/// program is built without these libraries. Equal shapes, strides and threads give equal bits.
/// Throws Error(runtime) for other dtypes.
void multiply(CpuContext& context, const ProductExtents& extents, const Matrices& a,
              const Matrices& b, const Matrices& c, const ProductOptions& options = {});

/// Small products are done before a second thread has woken.
int productThreads(const CpuContext& context, const ProductExtents& extents);

/// c = scale a b + keep c with dense fp32 or fp64 matrices on the calling thread alone, for use in
/// parallel loops. `leading` is the distance of rows as stored, before a transposition.
template <class W>
struct Stored {
  const W* data;
  int64_t leading;
  bool transposed = false;
};
void multiplyHere(const ProductExtents& extents, float scale, Stored<float> a, Stored<float> b,
                  float keep, float* c, int64_t leading);
void multiplyHere(const ProductExtents& extents, double scale, Stored<double> a, Stored<double> b,
                  double keep, double* c, int64_t leading);

/// sums[n] (+)= the column sums of rows x n elements; the bias gradient of a product. The dtypes
/// may differ.
void sumRows(CpuContext& context, const TensorView& x, int64_t rows, int64_t n,
             const TensorView& sums, bool accumulate);

}  // namespace meshplan
