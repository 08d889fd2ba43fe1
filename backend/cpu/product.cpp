// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/product.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "backend/cpu/element.h"
#include "backend/cpu/onednn.h"
#include "backend/cpu/parallel.h"

namespace meshplan {
namespace {

/// `rows` and `columns` are those of the operand as it is multiplied.
template <class W>
Stored<W> storedOperand(const Matrices& x, int64_t offset, int64_t rows, int64_t columns) {
  const bool transposed = x.column != 1;
  return {static_cast<const W*>(x.data) + offset,
          std::max({transposed ? x.column : x.row, transposed ? rows : columns, int64_t{1}}),
          transposed};
}

/// Rows [row, row + m) and columns [column, column + n) of c in batch b.
template <class W>
void multiplyBlock(const ProductExtents& e, const Matrices& a, const Matrices& b, const Matrices& c,
                   const ProductOptions& options, int64_t batch, int64_t row, int64_t column) {
  const bool add = options.accumulate || options.bias;
  W* const to = static_cast<W*>(c.data) + batch * c.batch + row * c.row + column;
  if (options.bias)
    for (int64_t i = 0; i < e.m; ++i)
      std::copy_n(options.bias->as<W>() + column, e.n, to + i * c.row);
  multiplyHere({e.m, e.n, e.k}, static_cast<W>(options.scale),
               storedOperand<W>(a, batch * a.batch + row * a.row, e.m, e.k),
               storedOperand<W>(b, batch * b.batch + column * b.column, e.k, e.n), W(add ? 1 : 0),
               to, std::max(c.row, e.n));
}

/// Products run on the calling thread; the blocks of c are shared out here, so that several ranks
/// may call at once.
template <class W>
void multiplyBlocks(CpuContext& context, const ProductExtents& e, const Matrices& a,
                    const Matrices& b, const Matrices& c, const ProductOptions& options) {
  const int threads = productThreads(context, e);
  const bool byRows = e.m >= e.n;
  const int64_t parts = e.batch >= threads ? 1 : threads;
  const int64_t step = ceilDiv(byRows ? e.m : e.n, parts);
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads)
  for (int64_t batch = 0; batch < e.batch; ++batch)
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t begin = part * step;
      ProductExtents block = e;
      int64_t& extent = byRows ? block.m : block.n;
      extent = std::min(step, extent - begin);
      if (extent > 0)
        multiplyBlock<W>(block, a, b, c, options, batch, byRows ? begin : 0, byRows ? 0 : begin);
    }
}

/// Dense row-major fp32 copies of matrices of another dtype.
std::vector<float> widened(const Matrices& x, int64_t batch, int64_t rows, int64_t columns) {
  std::vector<float> wide(static_cast<size_t>(batch * rows * columns));
  size_t at = 0;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        wide[at++] = static_cast<const BFloat16*>(x.data)[b * x.batch + i * x.row + j * x.column];
  return wide;
}

/// Where oneDNN has no bf16.
void multiplyWidened(CpuContext& context, const ProductExtents& e, const Matrices& a,
                     const Matrices& b, const Matrices& c, const ProductOptions& options) {
  std::vector<float> left = widened(a, e.batch, e.m, e.k), right = widened(b, e.batch, e.k, e.n);
  std::vector<float> bias, result(c.dtype == DType::bf16 ? e.batch * e.m * e.n : 0);
  ProductOptions wideOptions = options;
  TensorView wideBias{nullptr, {DType::f32, {e.n}}};
  if (options.bias && options.bias->type.dtype == DType::bf16) {
    bias = widened({options.bias->data, DType::bf16, e.n, 1, 0}, 1, 1, e.n);
    wideBias.data = bias.data();
    wideOptions.bias = &wideBias;
  }
  const Matrices to = result.empty() ? c : Matrices{result.data(), DType::f32, e.n, 1, e.m * e.n};
  if (!result.empty() && options.accumulate) result = widened(c, e.batch, e.m, e.n);
  multiply(context, e, {left.data(), DType::f32, e.k, 1, e.m * e.k},
           {right.data(), DType::f32, e.n, 1, e.k * e.n}, {to.data, to.dtype, to.row, 1, to.batch},
           wideOptions);
  for (size_t i = 0; i < result.size(); ++i) {
    const int64_t at = static_cast<int64_t>(i);
    const int64_t batch = at / (e.m * e.n), row = at / e.n % e.m, column = at % e.n;
    static_cast<BFloat16*>(c.data)[batch * c.batch + row * c.row + column] = BFloat16(result[i]);
  }
}

void clear(const ProductExtents& e, const Matrices& c, const ProductOptions& options) {
  if (options.accumulate) return;
  const auto size = static_cast<size_t>(dtypeBytes(c.dtype));
  auto* const to = static_cast<std::byte*>(c.data);
  for (int64_t b = 0; b < e.batch; ++b)
    for (int64_t i = 0; i < e.m; ++i) {
      std::byte* const row = to + static_cast<size_t>(b * c.batch + i * c.row) * size;
      if (options.bias)
        std::memcpy(row, options.bias->data, static_cast<size_t>(e.n) * size);
      else
        std::memset(row, 0, static_cast<size_t>(e.n) * size);
    }
}

void multiplyNormal(CpuContext& context, const ProductExtents& e, const Matrices& a,
                    const Matrices& b, const Matrices& c, const ProductOptions& options) {
  if (e.k == 0) return clear(e, c, options);
  if (a.dtype == DType::f64) return multiplyBlocks<double>(context, e, a, b, c, options);
  if (multiplyDnnl(context, e, a, b, c, options)) return;
  if (a.dtype == DType::bf16) return multiplyWidened(context, e, a, b, c, options);
  multiplyBlocks<float>(context, e, a, b, c, options);
}

/// Partial sums of a few rows first, which keeps the rounding of long sums small.
template <class T, class S>
void sumColumns(CpuContext& context, const T* x, int64_t rows, int64_t n, S* sums,
                bool accumulate) {
  constexpr int64_t kColumns = 64, kRows = 128;
  const int threads = rows * n < kParallelElements ? 1 : context.threads();
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t begin = 0; begin < n; begin += kColumns) {
    const int64_t width = std::min(kColumns, n - begin);
    Wide<T> total[kColumns] = {};
    for (int64_t first = 0; first < rows; first += kRows) {
      Wide<T> part[kColumns] = {};
      for (int64_t i = first; i < std::min(first + kRows, rows); ++i)
        for (int64_t j = 0; j < width; ++j) part[j] += x[i * n + begin + j];
      for (int64_t j = 0; j < width; ++j) total[j] += part[j];
    }
    for (int64_t j = 0; j < width; ++j)
      sums[begin + j] = S((accumulate ? Wide<T>(sums[begin + j]) : 0) + total[j]);
  }
}

}  // namespace

int productThreads(const CpuContext& context, const ProductExtents& e) {
  const double work = static_cast<double>(e.batch * e.m * e.n) * static_cast<double>(e.k);
  return work < 2e5 ? 1 : context.threads();
}

Matrices plainStrides(Matrices x, int64_t rows, int64_t columns) {
  if (rows == 1 && columns == 1)
    x.row = x.column = 1;
  else if (columns == 1)
    x = {x.data, x.dtype, x.row, 1, x.batch};
  else if (rows == 1)
    x = x.column == 1 ? Matrices{x.data, x.dtype, columns, 1, x.batch}
                      : Matrices{x.data, x.dtype, 1, x.column, x.batch};
  return x;
}

Matrices Matrices::from(int64_t elements) const {
  Matrices result = *this;
  result.data = static_cast<std::byte*>(data) + elements * dtypeBytes(dtype);
  return result;
}

Matrices rowMajor(const TensorView& view, int64_t columns, int64_t batch) {
  return {view.data, view.type.dtype, columns, 1, batch};
}

void multiply(CpuContext& context, const ProductExtents& e, const Matrices& a, const Matrices& b,
              const Matrices& c, const ProductOptions& options) {
  if (e.m == 0 || e.n == 0 || e.batch == 0) return;
  const Matrices left = plainStrides(a, e.m, e.k), right = plainStrides(b, e.k, e.n);
  const Matrices result = plainStrides(c, e.m, e.n);
  if (result.column == 1) return multiplyNormal(context, e, left, right, result, options);
  multiplyNormal(context, {e.n, e.m, e.k, e.batch}, right.transposed(), left.transposed(),
                 result.transposed(), options);
}

void sumRows(CpuContext& context, const TensorView& x, int64_t rows, int64_t n,
             const TensorView& sums, bool accumulate) {
  const auto run = [&](const auto* from, auto* to) {
    sumColumns(context, from, rows, n, to, accumulate);
  };
  if (x.type.dtype == DType::f64) return run(x.as<double>(), sums.as<double>());
  if (x.type.dtype == DType::f32) return run(x.as<float>(), sums.as<float>());
  if (sums.type.dtype == DType::f32) return run(x.as<BFloat16>(), sums.as<float>());
  run(x.as<BFloat16>(), sums.as<BFloat16>());
}

}  // namespace meshplan
