// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "backend/cpu/axis_ranges.h"
#include "backend/cpu/blocks.h"
#include "backend/cpu/broadcast_gradient.h"
#include "backend/cpu/order_kernels.h"
#include "core/operators/support.h"

namespace meshplan {
namespace {

/// The box from a tensor to its reduction, and the shape of the result with its reduced dimensions
/// kept.
struct Reduced {
  Reduced(const Attributes& attributes, const Shape& x) : kept(x), box() {
    std::vector<bool> gone(x.size(), attributes.getInts("axes").empty());
    for (const int64_t axis : attributes.getInts("axes"))
      gone[dimensionIndex(axis, x.size())] = true;
    for (size_t d = 0; d < x.size(); ++d)
      if (gone[d]) kept[d] = 1;
    const std::vector<int64_t> from = denseStrides(x), to = denseStrides(kept);
    for (size_t d = 0; d < x.size(); ++d) {
      box.add(x[d], from[d], gone[d] ? 0 : to[d]);
      if (gone[d]) reducedDims.push_back(d);
    }
  }
  Shape kept;
  StridedBox box;
  std::vector<size_t> reducedDims;
};

/// How many elements of the whole tensor each element of the result stands for.
double wholeCount(const KernelCall& call, const Reduced& reduced, const Shape& x) {
  double count = 1;
  for (const size_t d : reduced.reducedDims)
    count *= static_cast<double>(rangeOf(call, d, x[d]).whole);
  return count;
}

struct Identical {
  template <class A>
  static MESHPLAN_INLINE A map(A x) {
    return x;
  }
};
struct Added {
  template <class A>
  static MESHPLAN_INLINE A start() {
    return A{};
  }
  template <class A>
  static MESHPLAN_INLINE A join(A a, A b) {
    return a + b;
  }
};
struct Squares : Added {
  template <class A>
  static MESHPLAN_INLINE A map(A x) {
    return x * x;
  }
};
struct Magnitudes : Added {
  template <class A>
  static MESHPLAN_INLINE A map(A x) {
    return x < A(0) ? -x : x;
  }
};
struct Product : Identical {
  template <class A>
  static MESHPLAN_INLINE A start() {
    return A(1);
  }
  template <class A>
  static MESHPLAN_INLINE A join(A a, A b) {
    return a * b;
  }
};
template <class A>
constexpr A highest() {
  return std::numeric_limits<A>::has_infinity ? std::numeric_limits<A>::infinity()
                                              : std::numeric_limits<A>::max();
}
template <class A>
constexpr A lowest() {
  return std::numeric_limits<A>::has_infinity ? -std::numeric_limits<A>::infinity()
                                              : std::numeric_limits<A>::min();
}
struct Maximum : Identical {
  template <class A>
  static MESHPLAN_INLINE A start() {
    return lowest<A>();
  }
  template <class A>
  static MESHPLAN_INLINE A join(A a, A b) {
    return a > b || a != a ? a : b;
  }
};
struct Minimum : Identical {
  template <class A>
  static MESHPLAN_INLINE A start() {
    return highest<A>();
  }
  template <class A>
  static MESHPLAN_INLINE A join(A a, A b) {
    return a < b || a != a ? a : b;
  }
};

using Finish = double (*)(double total, double count);
double asIs(double total, double) {
  return total;
}
double divided(double total, double count) {
  return total / count;
}
double root(double total, double) {
  return std::sqrt(total);
}
double logarithm(double total, double) {
  return std::log(total);
}

/// Integers narrower than 64 bits are widened first: their reductions are rare.
template <class F>
void withSource(CpuContext& context, const TensorView& x, F&& f) {
  switch (x.type.dtype) {
    case DType::f64:
      return f(x.as<double>(), double{});
    case DType::f32:
    case DType::tf32:
      return f(x.as<float>(), float{});
    case DType::bf16:
      return f(x.as<BFloat16>(), float{});
    case DType::i64:
      return f(x.as<int64_t>(), int64_t{});
    default:
      break;
  }
  const int64_t n = x.type.elements();
  auto* wide = static_cast<int64_t*>(context.scratch(static_cast<size_t>(n) * sizeof(int64_t)));
  const int64_t* loaded = loadBlock(x, 0, n, wide);
  f(loaded, int64_t{});
}

template <class R, Finish finish>
void forward(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Reduced reduced(call.op->attributes, x.type.shape);
  const double count = wholeCount(call, reduced, x.type.shape);
  computeType(call);
  withSource(context, x, [&](const auto* from, auto number) {
    using A = decltype(number);
    reduceBox<R, A>(context, reduced.box, from, [&](int64_t at, const A* totals, int64_t n) {
      if (finish == asIs) return storeBlock(y, at, n, totals);
      A block[kBlock];
      for (int64_t i = 0; i < n; ++i)
        block[i] = static_cast<A>(finish(static_cast<double>(totals[i]), count));
      storeBlock(y, at, n, block);
    });
  });
}

/// Stays finite for large numbers: log sum e^(x - max) + max.
void logSumExpForward(CpuContext& context, const KernelCall& call) {
  const TensorView &x = call.inputs[0], &y = call.outputs[0];
  const Reduced reduced(call.op->attributes, x.type.shape);
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    const DType dtype = std::is_same_v<A, double> ? DType::f64 : DType::f32;
    const int64_t rows = y.type.elements(), n = x.type.elements();
    auto* memory = static_cast<A*>(context.scratch(static_cast<size_t>(rows + n) * sizeof(A)));
    const TensorView top{memory, {dtype, reduced.kept}},
        terms{memory + rows, {dtype, x.type.shape}};
    withSource(context, x, [&](const auto* from, auto) {
      if constexpr (!std::is_same_v<std::decay_t<decltype(*from)>, int64_t>)
        reduceBox<Maximum, A>(context, reduced.box, from, [&](int64_t at, const A* m, int64_t k) {
          storeBlock(top, at, k, m);
        });
    });
    const TensorView reads[] = {x, top};
    mapBroadcast<A>(context, reads, terms, 8, [](const A* const* in, A* out, int64_t k) {
      for (int64_t i = 0; i < k; ++i) out[i] = std::exp(in[0][i] - in[1][i]);
    });
    reduceBox<Summation, A>(context, reduced.box, terms.template as<A>(),
                            [&](int64_t at, const A* sums, int64_t k) {
                              A block[kBlock];
                              for (int64_t i = 0; i < k; ++i)
                                block[i] = top.template as<A>()[at + i] + std::log(sums[i]);
                              storeBlock(y, at, k, block);
                            });
  });
}

void sumBackward(CpuContext& context, const KernelCall& call) {
  const TensorView& dx = *call.inputGradient(0);
  const Reduced reduced(call.op->attributes, dx.type.shape);
  copyBox(context, reduced.box.reversed(), *call.outputGradient(0), dx);
}

void meanBackward(CpuContext& context, const KernelCall& call) {
  const TensorView& dx = *call.inputGradient(0);
  const Reduced reduced(call.op->attributes, dx.type.shape);
  const double share = 1 / wholeCount(call, reduced, dx.type.shape);
  TensorView dy = *call.outputGradient(0);
  dy.type.shape = reduced.kept;
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    mapBroadcast<A>(context, {&dy, 1}, dx, 1, [&](const A* const* in, A* out, int64_t n) {
      for (int64_t i = 0; i < n; ++i) out[i] = in[0][i] * static_cast<A>(share);
    });
  });
}

/// Gradients that follow from dy, x and the result y.
template <class Expression>
void expressionBackward(CpuContext& context, const KernelCall& call) {
  const TensorView &dx = *call.inputGradient(0), &x = *call.forwardInput(0);
  const Reduced reduced(call.op->attributes, dx.type.shape);
  TensorView dy = *call.outputGradient(0);
  TensorView y = call.forwardOutput(0) ? *call.forwardOutput(0) : dy;
  dy.type.shape = y.type.shape = reduced.kept;
  const TensorView reads[] = {dy, x, y};
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    mapBroadcast<A>(context, reads, dx, 4, [](const A* const* in, A* out, int64_t n) {
      for (int64_t i = 0; i < n; ++i) out[i] = Expression::gradient(in[0][i], in[1][i], in[2][i]);
    });
  });
}

#define MESHPLAN_GRADIENT(Name, expression)                               \
  struct Name {                                                           \
    template <class A>                                                    \
    static A gradient(A dy, [[maybe_unused]] A x, [[maybe_unused]] A y) { \
      return expression;                                                  \
    }                                                                     \
  };
MESHPLAN_GRADIENT(L1Gradient, x > A(0) ? dy : x < A(0) ? -dy : A(0))
MESHPLAN_GRADIENT(L2Gradient, y == A(0) ? A(0) : dy * x / y)
MESHPLAN_GRADIENT(SquareGradient, A(2) * dy * x)
MESHPLAN_GRADIENT(LogSumGradient, dy* std::exp(-y))
MESHPLAN_GRADIENT(LogSumExpGradient, dy* std::exp(x - y))
#undef MESHPLAN_GRADIENT

/// Equal extremes share, as PyTorch's amax does.
void extremeBackward(CpuContext& context, const KernelCall& call) {
  const TensorView &dx = *call.inputGradient(0), &x = *call.forwardInput(0);
  const Reduced reduced(call.op->attributes, dx.type.shape);
  TensorView dy = *call.outputGradient(0), y = *call.forwardOutput(0);
  dy.type.shape = y.type.shape = reduced.kept;
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    const DType dtype = std::is_same_v<A, double> ? DType::f64 : DType::f32;
    const int64_t n = x.type.elements();
    auto* memory =
        static_cast<A*>(context.scratch(static_cast<size_t>(n + y.type.elements()) * sizeof(A)));
    const TensorView hits{memory, {dtype, x.type.shape}}, count{memory + n, {dtype, reduced.kept}};
    const TensorView compared[] = {x, y};
    mapBroadcast<A>(context, compared, hits, 1, [](const A* const* in, A* out, int64_t k) {
      for (int64_t i = 0; i < k; ++i) out[i] = in[0][i] == in[1][i] ? A(1) : A(0);
    });
    sumBox(context, reduced.box, hits, count);
    const TensorView reads[] = {dy, hits, count};
    mapBroadcast<A>(context, reads, dx, 2, [](const A* const* in, A* out, int64_t k) {
      for (int64_t i = 0; i < k; ++i) out[i] = in[1][i] == A(0) ? A(0) : in[0][i] / in[2][i];
    });
  });
}

/// dy times the product of all others: the quotient, unless there are zeros.
void productBackward(CpuContext& context, const KernelCall& call) {
  const TensorView &dx = *call.inputGradient(0), &x = *call.forwardInput(0);
  const Reduced reduced(call.op->attributes, dx.type.shape);
  const ReductionPlan plan(reduced.box);
  const std::vector<int64_t> results = toPlaces(plan.kept), starts = fromPlaces(plan.kept);
  const std::vector<int64_t> members = fromPlaces(plan.reduced);
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    const auto rows = static_cast<int64_t>(results.size());
    parallelRanges(context, rows, plan.reducedCount * 8, [&](int64_t begin, int64_t end) {
      const size_t n = members.size();
      std::vector<A> values(n), before(n + 1, A(1));
      for (int64_t r = begin; r < end; ++r) {
        const int64_t start = starts[static_cast<size_t>(r)];
        A dy;
        const A outer =
            *loadBlock(*call.outputGradient(0), results[static_cast<size_t>(r)], 1, &dy);
        for (size_t i = 0; i < n; ++i) {
          A value;
          values[i] = *loadBlock(x, start + members[i], 1, &value);
          before[i + 1] = before[i] * values[i];
        }
        A after = 1;
        for (size_t i = n; i-- > 0; after *= values[i]) {
          const A gradient = outer * before[i] * after;
          storeBlock(dx, start + members[i], 1, &gradient);
        }
      }
    });
  });
}

constexpr CpuKernels kKernels[] = {
    {"ReduceSum", forward<Summation, asIs>, sumBackward},
    {"ReduceMean", forward<Summation, divided>, meanBackward},
    {"ReduceMax", forward<Maximum, asIs>, extremeBackward},
    {"ReduceMin", forward<Minimum, asIs>, extremeBackward},
    {"ReduceProd", forward<Product, asIs>, productBackward},
    {"ReduceL1", forward<Magnitudes, asIs>, expressionBackward<L1Gradient>},
    {"ReduceL2", forward<Squares, root>, expressionBackward<L2Gradient>},
    {"ReduceSumSquare", forward<Squares, asIs>, expressionBackward<SquareGradient>},
    {"ReduceLogSum", forward<Summation, logarithm>, expressionBackward<LogSumGradient>},
    {"ReduceLogSumExp", logSumExpForward, expressionBackward<LogSumExpGradient>},
    {"ArgMax", argMaxForward},
    {"ArgMin", argMinForward},
    {"TopK", topKForward, topKBackward},
    {"CumSum", cumSumForward, cumSumBackward},
};

}  // namespace

std::span<const CpuKernels> reductionKernels() {
  return kKernels;
}

}  // namespace meshplan
