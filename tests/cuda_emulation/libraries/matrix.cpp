// SPDX-License-Identifier: Apache-2.0
// Products of the emulated device, by the processor. Like the real library it refuses some: those
// of fp64 with a bias or an epilogue, of gelu whose rows are no multiple of 8, and of column sums
// in batches.
#include "backend/cuda/matrix.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "backend/bfloat16.h"
#include "backend/cuda/matrix_choices.h"
#include "backend/half.h"
#include "tests/cuda_emulation/emulator.h"

namespace meshplan {
namespace {

template <class F>
void withType(DType type, F f) {
  if (type == DType::f64) return f(double{});
  if (type == DType::bf16) return f(BFloat16{});
  if (type == DType::f16) return f(Half{});
  f(float{});
}

float asTf32(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return std::bit_cast<float>((bits + 0x1000) & ~0x1fffu);
}

/// A dense copy of one matrix.
template <class W>
std::vector<W> loaded(const Matrices& x, int64_t batch, int64_t rows, int64_t columns, bool tf32) {
  std::vector<W> dense(static_cast<size_t>(rows * columns));
  withType(x.dtype, [&](auto element) {
    const auto* from = static_cast<const decltype(element)*>(x.data) + batch * x.batch;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        W value = static_cast<W>(from[i * x.row + j * x.column]);
        if (tf32) value = W(asTf32(static_cast<float>(value)));
        dense[static_cast<size_t>(i * columns + j)] = value;
      }
  });
  return dense;
}

template <class W>
W gelu(W x) {
  const W inner = W(0.7978845608028654) * (x + W(0.044715) * x * x * x);
  return W(0.5) * x * (1 + std::tanh(inner));
}

template <class W, class T>
void store(const MatrixProduct& p, int64_t batch, const std::vector<W>& sums) {
  const int64_t n = p.extents.n;
  T* const c = static_cast<T*>(p.c.data) + batch * p.c.batch;
  const T* const bias = p.bias ? static_cast<const T*>(p.bias) + batch * p.biasStride : nullptr;
  for (int64_t i = 0; i < p.extents.m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      W x = W(p.scale) * sums[static_cast<size_t>(i * n + j)];
      if (bias) x += W(bias[j]);
      if (p.preActivation)
        static_cast<T*>(p.preActivation)[batch * p.extents.m * n + i * n + j] = T(x);
      if (p.epilogue == MatrixEpilogue::relu) x = x > 0 ? x : 0;
      if (p.epilogue == MatrixEpilogue::gelu) x = gelu(x);
      T& to = c[i * p.c.row + j];
      to = T(p.accumulate ? W(to) + x : x);
    }
}

/// Sums over k of a's rows or b's columns.
template <class W, class T>
void storeSums(const MatrixProduct& p, const std::vector<W>& a, const std::vector<W>& b) {
  const ProductExtents& e = p.extents;
  const int64_t count = p.sumsOfA ? e.m : e.n;
  for (int64_t i = 0; i < count; ++i) {
    W sum = 0;
    for (int64_t k = 0; k < e.k; ++k)
      sum += p.sumsOfA ? a[static_cast<size_t>(i * e.k + k)] : b[static_cast<size_t>(k * e.n + i)];
    static_cast<T*>(p.columnSums)[i] = T(sum);
  }
}

template <class W>
void multiplyAs(const MatrixProduct& p, bool tf32) {
  const ProductExtents& e = p.extents;
  for (int64_t batch = 0; batch < e.batch; ++batch) {
    const std::vector<W> a = loaded<W>(p.a, batch, e.m, e.k, tf32);
    const std::vector<W> b = loaded<W>(p.b, batch, e.k, e.n, tf32);
    std::vector<W> sums(static_cast<size_t>(e.m * e.n));
    multiplyHere({e.m, e.n, e.k}, W(1), Stored<W>{a.data(), e.k}, Stored<W>{b.data(), e.n}, W(0),
                 sums.data(), e.n);
    withType(p.c.dtype, [&](auto element) {
      store<W, decltype(element)>(p, batch, sums);
      if (p.columnSums) storeSums<W, decltype(element)>(p, a, b);
    });
  }
}

bool refuses(const MatrixProduct& p) {
  const bool fused = p.bias || p.epilogue != MatrixEpilogue::none || p.columnSums;
  return (p.a.dtype == DType::f64 && fused) || (p.preActivation && p.extents.n % 8 != 0) ||
         (p.columnSums && p.extents.batch != 1);
}

}  // namespace

bool multiplyInLibrary(CudaContext& context, const MatrixProduct& p) {
  if (refuses(p)) return false;
  const MatrixSettings& settings = context.kept<MatrixSettings>();
  MatrixChoices& choices = context.kept<MatrixChoices>();
  const std::string key = matrixLibrary(context) + " " + productText(p);
  if (settings.timesCandidates && !context.captures() && !choices.find(key))
    choices.addTimed({key, {std::byte{1}}, 1e-6});
  const bool tf32 = p.a.dtype == DType::tf32 || (p.a.dtype == DType::f32 && settings.tf32);
  context.check(emulation::enqueue(context.stream(),
                                   [p, tf32] {
                                     if (p.a.dtype == DType::f64)
                                       multiplyAs<double>(p, false);
                                     else
                                       multiplyAs<float>(p, tf32);
                                   }),
                "a product");
  return true;
}

std::string matrixLibrary(CudaContext&) {
  return "the emulated cuBLASLt";
}

}  // namespace meshplan
