// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <limits>

#include "backend/cpu/element.h"
#include "backend/cpu/normalization.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/simd.h"

namespace meshplan {
namespace {

/// How many neighbouring lines are worked on at once where elements of one line lie apart.
constexpr int64_t kColumns = 64;

/// fp64 has no vector exponential worth the name; everything else is computed in fp32.
template <class T>
MESHPLAN_SIMD void softmaxRows(int64_t rows, int64_t n, const T* x, T* y, bool logarithm) {
  using W = Wide<T>;
  for (int64_t i = 0; i < rows; ++i, x += n, y += n) {
    W most = -std::numeric_limits<W>::infinity(), sum = 0;
#pragma omp simd reduction(max : most)
    for (int64_t j = 0; j < n; ++j) most = std::max(most, static_cast<W>(x[j]));
      // A row of nothing but -infinity has equal probabilities nowhere; it stays NaN as in PyTorch.
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; ++j) sum += simd::exp(static_cast<W>(x[j]) - most);
    if (logarithm) {
      const W shift = most + simd::log(sum);
#pragma omp simd
      for (int64_t j = 0; j < n; ++j) y[j] = T(static_cast<W>(x[j]) - shift);
    } else {
      const W factor = 1 / sum;
#pragma omp simd
      for (int64_t j = 0; j < n; ++j) y[j] = T(simd::exp(static_cast<W>(x[j]) - most) * factor);
    }
  }
}

template <class T>
MESHPLAN_SIMD void gradientRows(int64_t rows, int64_t n, const T* y, const T* dy, T* dx,
                                bool logarithm) {
  using W = Wide<T>;
  for (int64_t i = 0; i < rows; ++i, y += n, dy += n, dx += n) {
    W sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; ++j)
      sum += static_cast<W>(dy[j]) * (logarithm ? W(1) : static_cast<W>(y[j]));
    if (logarithm) {
#pragma omp simd
      for (int64_t j = 0; j < n; ++j)
        dx[j] = T(static_cast<W>(dy[j]) - simd::exp(static_cast<W>(y[j])) * sum);
    } else {
#pragma omp simd
      for (int64_t j = 0; j < n; ++j)
        dx[j] = T(static_cast<W>(y[j]) * (static_cast<W>(dy[j]) - sum));
    }
  }
}

/// `width` <= kColumns neighbouring lines of n elements that lie `stride` apart.
template <class T>
MESHPLAN_SIMD void softmaxColumns(int64_t n, int64_t stride, int64_t width, const T* x, T* y,
                                  bool logarithm) {
  using W = Wide<T>;
  W most[kColumns], sum[kColumns] = {};
  std::fill_n(most, kColumns, -std::numeric_limits<W>::infinity());
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < width; ++j)
      most[j] = std::max(most[j], static_cast<W>(x[i * stride + j]));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < width; ++j)
      sum[j] += simd::exp(static_cast<W>(x[i * stride + j]) - most[j]);
  for (int64_t j = 0; j < width; ++j) sum[j] = logarithm ? simd::log(sum[j]) : 1 / sum[j];
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < width; ++j) {
      const W shifted = static_cast<W>(x[i * stride + j]) - most[j];
      y[i * stride + j] = T(logarithm ? shifted - sum[j] : simd::exp(shifted) * sum[j]);
    }
}

template <class T>
MESHPLAN_SIMD void gradientColumns(int64_t n, int64_t stride, int64_t width, const T* y,
                                   const T* dy, T* dx, bool logarithm) {
  using W = Wide<T>;
  W sum[kColumns] = {};
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < width; ++j)
      sum[j] += static_cast<W>(dy[i * stride + j]) *
                (logarithm ? W(1) : static_cast<W>(y[i * stride + j]));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < width; ++j) {
      const int64_t at = i * stride + j;
      const W p = static_cast<W>(y[at]), g = static_cast<W>(dy[at]);
      dx[at] = T(logarithm ? g - simd::exp(p) * sum[j] : p * (g - sum[j]));
    }
}

/// Calls rows(first element, lines) where lines are dense, columns(first element, width) elsewhere.
template <class Rows, class Columns>
void forLines(const CpuContext& context, const Lines& l, Rows rows, Columns columns) {
  if (l.inner == 1)
    return parallelRanges(context, l.outer, l.extent,
                          [&](int64_t begin, int64_t end) { rows(begin * l.extent, end - begin); });
  const int64_t blocks = ceilDiv(l.inner, kColumns);
  parallelRanges(context, l.outer * blocks, l.extent * std::min(kColumns, l.inner),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t column = i % blocks * kColumns;
                     columns(i / blocks * l.extent * l.inner + column,
                             std::min(kColumns, l.inner - column));
                   }
                 });
}

void forward(CpuContext& context, const KernelCall& call, bool logarithm) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Lines l = linesOf(call.op->attributes, x.type.shape);
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forLines(
        context, l,
        [&](int64_t at, int64_t rows) {
          softmaxRows(rows, l.extent, x.as<T>() + at, y.as<T>() + at, logarithm);
        },
        [&](int64_t at, int64_t width) {
          softmaxColumns(l.extent, l.inner, width, x.as<T>() + at, y.as<T>() + at, logarithm);
        });
  });
}

void backward(CpuContext& context, const KernelCall& call, bool logarithm) {
  const TensorView &y = *call.forwardOutput(0), &dy = *call.outputGradient(0);
  const TensorView* dx = call.inputGradient(0);
  const Lines l = linesOf(call.op->attributes, y.type.shape);
  forElementType(*call.op, y.type.dtype, [&](auto element) {
    using T = decltype(element);
    const T *const p = y.as<T>(), *const g = dy.as<T>();
    T* const to = dx->as<T>();
    forLines(
        context, l,
        [&](int64_t at, int64_t rows) {
          gradientRows(rows, l.extent, p + at, g + at, to + at, logarithm);
        },
        [&](int64_t at, int64_t width) {
          gradientColumns(l.extent, l.inner, width, p + at, g + at, to + at, logarithm);
        });
  });
}

}  // namespace

Lines linesOf(const Attributes& attributes, const Shape& shape) {
  Lines l;
  if (shape.empty()) return l;
  const auto rank = static_cast<int64_t>(shape.size());
  const int64_t given = attributes.getInt("axis", -1), axis = given < 0 ? given + rank : given;
  const bool coerced = attributes.getInt("coerced", 0) != 0;
  for (int64_t d = 0; d < rank; ++d) {
    int64_t& part = d < axis ? l.outer : d == axis || coerced ? l.extent : l.inner;
    part *= shape[static_cast<size_t>(d)];
  }
  return l;
}

void softmax(CpuContext& context, const KernelCall& call) {
  forward(context, call, false);
}
void softmaxGradient(CpuContext& context, const KernelCall& call) {
  backward(context, call, false);
}
void logSoftmax(CpuContext& context, const KernelCall& call) {
  forward(context, call, true);
}
void logSoftmaxGradient(CpuContext& context, const KernelCall& call) {
  backward(context, call, true);
}

void hardmax(CpuContext&, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Lines l = linesOf(call.op->attributes, x.type.shape);
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    for (int64_t line = 0; line < l.outer * l.inner; ++line) {
      const int64_t start = line / l.inner * l.extent * l.inner + line % l.inner;
      const T* const from = x.as<T>() + start;
      int64_t most = 0;
      for (int64_t i = 1; i < l.extent; ++i)
        if (from[i * l.inner] > from[most * l.inner]) most = i;
      for (int64_t i = 0; i < l.extent; ++i)
        y.as<T>()[start + i * l.inner] = T(static_cast<Wide<T>>(i == most ? 1 : 0));
    }
  });
}

}  // namespace meshplan
