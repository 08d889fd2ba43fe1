// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/reduction.cpp, order_kernels.cpp. Bound by bandwidth; CumSum, ArgMax
// and ArgMin, where lines are few, by the latency of one thread per line.
#include "backend/cuda/kernels/reduction.h"

#include "backend/cpu/axis_ranges.h"
#include "backend/cpu/lines.h"
#include "backend/cuda/cuda_kernels.h"

namespace meshplan {
namespace {

using device::Compute;
using device::ReducedShape;

std::vector<bool> reducedDims(const Attributes& attributes, const Shape& x) {
  const std::vector<int64_t> axes = attributes.getInts("axes");
  std::vector<bool> gone(x.size(), axes.empty());
  for (const int64_t axis : axes) gone[dimensionIndex(axis, x.size())] = true;
  return gone;
}

/// Reduced dimensions of more than one index must be neighbours: `isBox`.
ReducedShape reducedShape(const std::vector<bool>& gone, const Shape& x) {
  ReducedShape s;
  for (size_t d = 0; d < x.size(); ++d)
    (gone[d] ? s.reduced : s.reduced == 1 ? s.outer : s.inner) *= x[d];
  return s;
}
bool isBox(const std::vector<bool>& gone, const Shape& x) {
  bool began = false, ended = false;
  for (size_t d = 0; d < x.size(); ++d) {
    if (x[d] == 0) return false;
    if (x[d] == 1) continue;
    if (gone[d] && ended) return false;
    began = began || gone[d];
    ended = ended || (began && !gone[d]);
  }
  return true;
}

const TensorView& wholeOf(const KernelCall& call) {
  return call.isGradient() ? *call.inputGradient(0) : call.inputs[0];
}

ReducedShape shapeOf(const KernelCall& call) {
  const Shape& x = wholeOf(call).type.shape;
  return reducedShape(reducedDims(call.op->attributes, x), x);
}

/// How many elements of the whole tensor each element of the result stands for.
double wholeCount(const KernelCall& call) {
  const Shape& x = wholeOf(call).type.shape;
  const std::vector<bool> gone = reducedDims(call.op->attributes, x);
  double count = 1;
  for (size_t d = 0; d < x.size(); ++d)
    if (gone[d]) count *= static_cast<double>(rangeOf(call, d, x[d]).whole);
  return count;
}

template <template <class> class Rule>
void forward(CudaContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    device::reduce<T, Rule<Compute<T>>>(context, shapeOf(call), x.as<T>(), wholeCount(call),
                                        static_cast<T*>(y.data));
  });
}

/// dx of dy, x and the result y, and the number that a mean divides by.
#define MESHPLAN_GRADIENT(Name, expression)                                                   \
  struct Name {                                                                               \
    template <class A>                                                                        \
    static __device__ A of([[maybe_unused]] A dy, [[maybe_unused]] A x, [[maybe_unused]] A y, \
                           [[maybe_unused]] A n) {                                            \
      return expression;                                                                      \
    }                                                                                         \
  };
MESHPLAN_GRADIENT(SumGradient, dy)
MESHPLAN_GRADIENT(MeanGradient, dy / n)
MESHPLAN_GRADIENT(L1Gradient, x > A(0) ? dy : x < A(0) ? -dy : A(0))
MESHPLAN_GRADIENT(L2Gradient, y == A(0) ? A(0) : dy * x / y)
MESHPLAN_GRADIENT(SquareGradient, A(2) * dy * x)
MESHPLAN_GRADIENT(LogSumGradient, dy* device::fastExp(-y))
MESHPLAN_GRADIENT(LogSumExpGradient, dy* device::fastExp(x - y))
#undef MESHPLAN_GRADIENT

template <class T, class Expression>
struct Gradient {
  ReducedShape s;
  Compute<T> count;
  const T *dy, *x, *y;
  T* dx;

  __device__ void operator()(int64_t i) const {
    using A = Compute<T>;
    const int64_t result = s.result(i);
    dx[i] = T(Expression::of(A(dy[result]), A(x[i]), A(y[result]), count));
  }
};

template <class Expression>
void backward(CudaContext& context, const KernelCall& call) {
  const TensorView &dx = *call.inputGradient(0), &dy = *call.outputGradient(0);
  const TensorView* x = call.forwardInput(0);
  const TensorView* y = call.forwardOutput(0);
  device::withElement(*call.op, dx.type.dtype, [&](auto element) {
    using T = decltype(element);
    T* const to = static_cast<T*>(dx.data);
    // What an expression does not need is not there; dx itself and dy stand in for it.
    forEach(
        context, dx.type.elements(),
        Gradient<T, Expression>{shapeOf(call), static_cast<Compute<T>>(wholeCount(call)),
                                dy.as<T>(), x ? x->as<T>() : to, y ? y->as<T>() : dy.as<T>(), to});
  });
}

template <class T>
struct CountExtremes {
  ReducedShape s;
  const T *x, *y;
  int64_t* counts;

  __device__ void operator()(int64_t i) const {
    const T* line = x + i / s.inner * s.reduced * s.inner + i % s.inner;
    int64_t count = 0;
    for (int64_t r = 0; r < s.reduced; ++r)
      count += Compute<T>(line[r * s.inner]) == Compute<T>(y[i]);
    counts[i] = count;
  }
};

template <class T>
struct ExtremeGradient {
  ReducedShape s;
  const T *x, *y, *dy;
  const int64_t* counts;
  T* dx;

  __device__ void operator()(int64_t i) const {
    using A = Compute<T>;
    const int64_t result = s.result(i);
    const bool hit = A(x[i]) == A(y[result]);
    dx[i] = T(hit ? A(dy[result]) / static_cast<A>(counts[result]) : A(0));
  }
};

/// Equal extremes share.
void extremeBackward(CudaContext& context, const KernelCall& call) {
  const TensorView &dx = *call.inputGradient(0), &dy = *call.outputGradient(0);
  const TensorView &x = *call.forwardInput(0), &y = *call.forwardOutput(0);
  const ReducedShape s = shapeOf(call);
  auto* counts =
      static_cast<int64_t*>(context.scratch(s.results() * static_cast<int64_t>(sizeof(int64_t))));
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(context, s.results(), CountExtremes<T>{s, x.as<T>(), y.as<T>(), counts});
    forEach(
        context, dx.type.elements(),
        ExtremeGradient<T>{s, x.as<T>(), y.as<T>(), dy.as<T>(), counts, static_cast<T*>(dx.data)});
  });
}

template <class T, bool kLargest>
struct FindExtreme {
  Lines lines;
  bool last;
  const T* x;
  int64_t* y;

  __device__ void operator()(int64_t line) const {
    const T* from = x + line / lines.inner * lines.extent * lines.inner + line % lines.inner;
    int64_t best = 0;
    for (int64_t i = 1; i < lines.extent; ++i) {
      const auto a = Compute<T>(from[i * lines.inner]), b = Compute<T>(from[best * lines.inner]);
      if ((kLargest ? a > b : a < b) || (last && a == b)) best = i;
    }
    y[line] = best;
  }
};

template <bool kLargest>
void findExtremes(CudaContext& context, const KernelCall& call) {
  const TensorView& x = call.inputs[0];
  const Lines lines(x.type.shape, call.op->attributes.getInt("axis", 0));
  const bool last = call.op->attributes.getInt("select_last_index", 0) != 0;
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(context, lines.count(),
            FindExtreme<T, kLargest>{lines, last, x.as<T>(), call.outputs[0].as<int64_t>()});
  });
}

template <class T>
struct Cumulate {
  Lines lines;
  bool reverse, exclusive;
  const T* x;
  T* y;

  __device__ void operator()(int64_t line) const {
    const int64_t first = line / lines.inner * lines.extent * lines.inner + line % lines.inner;
    Compute<T> sum = 0;
    for (int64_t i = 0; i < lines.extent; ++i) {
      const int64_t at = first + (reverse ? lines.extent - 1 - i : i) * lines.inner;
      const Compute<T> before = sum;
      sum += Compute<T>(x[at]);
      y[at] = T(exclusive ? before : sum);
    }
  }
};

void cumulate(CudaContext& context, const KernelCall& call, const TensorView& x,
              const TensorView& y, bool reverse) {
  const Lines lines(x.type.shape, call.op->attributes.getInt("axis", 0));
  const bool exclusive = call.op->attributes.getInt("exclusive", 0) != 0;
  device::withElement(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forEach(context, lines.count(),
            Cumulate<T>{lines, reverse, exclusive, x.as<T>(), static_cast<T*>(y.data)});
  });
}
bool isReversed(const KernelCall& call) {
  return call.op->attributes.getInt("reverse", 0) != 0;
}
void cumSum(CudaContext& context, const KernelCall& call) {
  cumulate(context, call, call.inputs[0], call.outputs[0], isReversed(call));
}
void cumSumGradient(CudaContext& context, const KernelCall& call) {
  cumulate(context, call, *call.outputGradient(0), *call.inputGradient(0), !isReversed(call));
}

bool isFloat(const KernelCall& call) {
  return isFloating(call.inputs[0].type.dtype) && !wholeOf(call).type.shape.empty();
}
bool isFloatBox(const KernelCall& call) {
  const Shape& x = wholeOf(call).type.shape;
  return isFloating(call.inputs[0].type.dtype) && isBox(reducedDims(call.op->attributes, x), x);
}

using namespace device;

constexpr CudaKernels kKernels[] = {
    {"ReduceSum", forward<SumRule>, backward<SumGradient>, false, isFloatBox},
    {"ReduceMean", forward<MeanRule>, backward<MeanGradient>, false, isFloatBox},
    {"ReduceMax", forward<MaximumRule>, extremeBackward, false, isFloatBox},
    {"ReduceMin", forward<MinimumRule>, extremeBackward, false, isFloatBox},
    {"ReduceProd", forward<ProductRule>, nullptr, false, isFloatBox},
    {"ReduceL1", forward<MagnitudeRule>, backward<L1Gradient>, false, isFloatBox},
    {"ReduceL2", forward<NormRule>, backward<L2Gradient>, false, isFloatBox},
    {"ReduceSumSquare", forward<SquareRule>, backward<SquareGradient>, false, isFloatBox},
    {"ReduceLogSum", forward<LogSumRule>, backward<LogSumGradient>, false, isFloatBox},
    {"ReduceLogSumExp", forward<LogSumExpRule>, backward<LogSumExpGradient>, false, isFloatBox},
    {"ArgMax", findExtremes<true>, nullptr, false, isFloat},
    {"ArgMin", findExtremes<false>, nullptr, false, isFloat},
    {"CumSum", cumSum, cumSumGradient, false, isFloat},
};

}  // namespace

std::span<const CudaKernels> cudaReductionKernels() {
  return kKernels;
}

}  // namespace meshplan
