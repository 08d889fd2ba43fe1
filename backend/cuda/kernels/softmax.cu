// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/softmax.cpp.
// Bound by bandwidth where lines are dense: up to 16 KiB of them are read once. Elsewhere
// neighbouring threads take neighbouring lines.
#include "backend/cpu/normalization.h"
#include "backend/cuda/cuda_kernels.h"
#include "backend/cuda/kernels/exponentials.h"

namespace meshplan {
namespace {

using device::blockSum;
using device::Compute;
using device::Exponentials;
using device::fastExp;
using device::HeldRow;

/// y of x, given the largest and the sum of its line.
template <bool kLogarithm>
struct Probability {
  template <class A>
  static __device__ A of(A x, A most, A sum) {
    if constexpr (kLogarithm) return x - (most + std::log(sum));
    return fastExp(x - most) / sum;
  }
};

/// dx, given y and the sum over its line of dy, times y unless y is a logarithm.
template <bool kLogarithm>
struct ProbabilityGradient {
  template <class A>
  static __device__ A term(A y, A dy) {
    return kLogarithm ? dy : dy * y;
  }
  template <class A>
  static __device__ A of(A y, A dy, A sum) {
    if constexpr (kLogarithm) return dy - fastExp(y) * sum;
    return y * (dy - sum);
  }
};

template <class T, int kPacks, bool kLogarithm>
__global__ void __launch_bounds__(HeldRow<T, kPacks>::kThreads)
    softmaxRowsKernel(int64_t n, const T* __restrict__ x, T* __restrict__ y) {
  using A = Compute<T>;
  const int64_t first = int64_t{blockIdx.x} * n;
  const HeldRow<T, kPacks> row(x + first, n);
  Exponentials<A> own;
  row.walk(x + first, n, [&](int64_t at, auto width, int p) {
    own.add(row.template get<decltype(width)::value>(at, p));
  });
  const auto line = device::blockExponentials(own);
  row.walk(x + first, n, [&](int64_t at, auto width, int p) {
    constexpr int kWidth = decltype(width)::value;
    auto v = row.template get<kWidth>(at, p);
    for (int k = 0; k < kWidth; ++k)
      v.at[k] = Probability<kLogarithm>::of(v.at[k], line.most, line.sum);
    device::store<T, kWidth>(y + first + at, v);
  });
}

template <class T, int kPacks, bool kLogarithm>
__global__ void __launch_bounds__(HeldRow<T, kPacks>::kThreads)
    gradientRowsKernel(int64_t n, const T* __restrict__ y, const T* __restrict__ dy,
                       T* __restrict__ dx) {
  using A = Compute<T>;
  using Rule = ProbabilityGradient<kLogarithm>;
  const int64_t first = int64_t{blockIdx.x} * n;
  const HeldRow<T, kPacks> row(y + first, n), gradient(dy + first, n);
  A sum = 0;
  row.walk(y + first, n, [&](int64_t at, auto width, int p) {
    constexpr int kWidth = decltype(width)::value;
    const auto v = row.template get<kWidth>(at, p), g = gradient.template get<kWidth>(at, p);
    for (int k = 0; k < kWidth; ++k) sum += Rule::term(v.at[k], g.at[k]);
  });
  sum = blockSum(sum);
  row.walk(y + first, n, [&](int64_t at, auto width, int p) {
    constexpr int kWidth = decltype(width)::value;
    const auto v = row.template get<kWidth>(at, p);
    auto g = gradient.template get<kWidth>(at, p);
    for (int k = 0; k < kWidth; ++k) g.at[k] = Rule::of(v.at[k], g.at[k], sum);
    device::store<T, kWidth>(dx + first + at, g);
  });
}

/// One line of elements that lie `inner` apart per call.
template <class T, bool kLogarithm>
struct SoftmaxLine {
  int64_t extent, inner;
  const T* x;
  T* y;

  __device__ void operator()(int64_t line) const {
    using A = Compute<T>;
    const int64_t first = line / inner * extent * inner + line % inner;
    Exponentials<A> s;
    for (int64_t i = 0; i < extent; ++i) s.add(device::Pack<A, 1>{{A(x[first + i * inner])}});
    for (int64_t i = 0; i < extent; ++i) {
      const int64_t at = first + i * inner;
      y[at] = T(Probability<kLogarithm>::of(A(x[at]), s.most, s.sum));
    }
  }
};

template <class T, bool kLogarithm>
struct GradientLine {
  int64_t extent, inner;
  const T *y, *dy;
  T* dx;

  __device__ void operator()(int64_t line) const {
    using A = Compute<T>;
    using Rule = ProbabilityGradient<kLogarithm>;
    const int64_t first = line / inner * extent * inner + line % inner;
    A sum = 0;
    for (int64_t at = first, i = 0; i < extent; ++i, at += inner)
      sum += Rule::term(A(y[at]), A(dy[at]));
    for (int64_t at = first, i = 0; i < extent; ++i, at += inner)
      dx[at] = T(Rule::of(A(y[at]), A(dy[at]), sum));
  }
};

template <bool kLogarithm>
void forward(CudaContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Lines l = linesOf(call.op->attributes, x.type.shape);
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    T* const to = static_cast<T*>(y.data);
    if (l.inner > 1)
      return forEach(context, l.outer * l.inner,
                     SoftmaxLine<T, kLogarithm>{l.extent, l.inner, x.as<T>(), to});
    device::withHeldRows<T>(l.extent, [&](auto packs, int threads) {
      launch(context, l.extent > 0 ? l.outer : 0, threads, 0,
             softmaxRowsKernel<T, decltype(packs)::value, kLogarithm>, l.extent, x.as<T>(), to);
    });
  });
}

template <bool kLogarithm>
void backward(CudaContext& context, const KernelCall& call) {
  const TensorView &y = *call.forwardOutput(0), &dy = *call.outputGradient(0);
  const Lines l = linesOf(call.op->attributes, y.type.shape);
  device::withElement(*call.op, y.type.dtype, [&](auto element) {
    using T = decltype(element);
    T* const dx = static_cast<T*>(call.inputGradient(0)->data);
    if (l.inner > 1)
      return forEach(context, l.outer * l.inner,
                     GradientLine<T, kLogarithm>{l.extent, l.inner, y.as<T>(), dy.as<T>(), dx});
    device::withHeldRows<T>(l.extent, [&](auto packs, int threads) {
      launch(context, l.extent > 0 ? l.outer : 0, threads, 0,
             gradientRowsKernel<T, decltype(packs)::value, kLogarithm>, l.extent, y.as<T>(),
             dy.as<T>(), dx);
    });
  });
}

constexpr CudaKernels kKernels[] = {
    {"Softmax", forward<false>, backward<false>},
    {"LogSoftmax", forward<true>, backward<true>},
};

}  // namespace

std::span<const CudaKernels> cudaSoftmaxKernels() {
  return kKernels;
}

}  // namespace meshplan
