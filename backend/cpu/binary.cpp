// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <type_traits>

#include "backend/cpu/arithmetic.h"
#include "backend/cpu/blocks.h"
#include "backend/cpu/broadcast_gradient.h"
#include "backend/cpu/elementwise_tables.h"
#include "backend/cpu/simd.h"

namespace meshplan {
namespace {

using namespace arithmetic;

template <class F>
constexpr bool kHot =
    std::is_same_v<F, Plus> || std::is_same_v<F, Minus> || std::is_same_v<F, Times> ||
    std::is_same_v<F, Quotient> || std::is_same_v<F, Larger> || std::is_same_v<F, Smaller>;

template <class F, class A>
MESHPLAN_SIMD void applyFast(const A* a, const A* __restrict b, A* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = F::apply(a[i], b[i]);
}

/// `a` may be `y`.
template <class F, class A>
void applyLoop(const A* a, const A* b, A* y, int64_t n) {
  if constexpr (kHot<F> && std::is_same_v<A, float>)
    applyFast<F, A>(a, b, y, n);
  else
    for (int64_t i = 0; i < n; ++i) y[i] = F::apply(a[i], b[i]);
}

/// Two or more operands joined from the left; one is copied.
template <class F>
void forward(CpuContext& context, const KernelCall& call) {
  const size_t operands = call.inputs.size();
  withComputeType(call, [&](auto number) {
    using A = decltype(number);
    mapBroadcast<A>(context, call.inputs, call.outputs[0], static_cast<int64_t>(operands),
                    [&](const A* const* x, A* y, int64_t n) {
                      if (operands == 1) std::copy_n(x[0], n, y);
                      for (size_t k = 1; k < operands; ++k)
                        applyLoop<F, A>(k == 1 ? x[0] : y, x[k], y, n);
                    });
  });
}

template <class F>
void forwardBits(CpuContext& context, const KernelCall& call) {
  mapBroadcast<int64_t>(context, call.inputs, call.outputs[0], 2,
                        [](const int64_t* const* x, int64_t* y, int64_t n) {
                          applyLoop<F, int64_t>(x[0], x[1], y, n);
                        });
}

void remainderForward(CpuContext& context, const KernelCall& call) {
  if (call.op->attributes.getInt("fmod", 0)) return forward<Remainder>(context, call);
  forward<FloorRemainder>(context, call);
}

void shiftForward(CpuContext& context, const KernelCall& call) {
  if (call.op->attributes.getString("direction", "LEFT") == "LEFT")
    return forwardBits<ShiftLeft>(context, call);
  forwardBits<ShiftRight>(context, call);
}

void meanForward(CpuContext& context, const KernelCall& call) {
  const size_t operands = call.inputs.size();
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    const A share = A(1) / static_cast<A>(operands);
    mapBroadcast<A>(context, call.inputs, call.outputs[0], static_cast<int64_t>(operands),
                    [&](const A* const* x, A* y, int64_t n) {
                      std::copy_n(x[0], n, y);
                      for (size_t k = 1; k < operands; ++k) applyLoop<Plus, A>(y, x[k], y, n);
                      for (int64_t i = 0; i < n; ++i) y[i] *= share;
                    });
  });
}

void whereForward(CpuContext& context, const KernelCall& call) {
  withComputeType(call, [&](auto number) {
    using A = decltype(number);
    mapBroadcast<A>(context, call.inputs, call.outputs[0], 2,
                    [](const A* const* x, A* y, int64_t n) {
                      for (int64_t i = 0; i < n; ++i) y[i] = x[0][i] != A(0) ? x[1][i] : x[2][i];
                    });
  });
}

void preluForward(CpuContext& context, const KernelCall& call) {
  withComputeType(call, [&](auto number) {
    using A = decltype(number);
    mapBroadcast<A>(context, call.inputs, call.outputs[0], 1,
                    [](const A* const* x, A* y, int64_t n) {
                      for (int64_t i = 0; i < n; ++i)
                        y[i] = x[0][i] < A(0) ? x[0][i] * x[1][i] : x[0][i];
                    });
  });
}

/// Add, Sub and Sum: the gradient itself, with the sign of the second operand.
template <int second>
void passBackward(CpuContext& context, const KernelCall& call) {
  for (size_t o = 0; o < call.outputs.size(); ++o)
    passGradient(context, *call.outputGradient(0), call.outputs[o],
                 call.op->outputSlots[o].index == 1 ? second : 1);
}

void meanBackward(CpuContext& context, const KernelCall& call) {
  const auto operands = static_cast<double>(call.op->attributes.getInt("operands", 1));
  for (const TensorView& dx : call.outputs)
    passGradient(context, *call.outputGradient(0), dx, 1 / operands);
}

/// One expression per operand over the gradient and the forward inputs that exist, in slot order.
template <class Expression>
void expressionBackward(CpuContext& context, const KernelCall& call) {
  const TensorView& dy = *call.outputGradient(0);
  for (size_t o = 0; o < call.outputs.size(); ++o) {
    const size_t wrt = call.op->outputSlots[o].index;
    std::vector<TensorView> reads{dy};
    for (size_t i = 0; i < 2; ++i)
      reads.push_back(call.forwardInput(i) ? *call.forwardInput(i) : dy);
    withFloatType(call, [&](auto number) {
      using A = decltype(number);
      mapGradient<A>(context, reads, dy.type.shape, call.outputs[o], 2,
                     [&](const A* const* x, A* d, int64_t n) {
                       if (wrt == 0)
                         for (int64_t i = 0; i < n; ++i)
                           d[i] = Expression::first(x[0][i], x[1][i], x[2][i]);
                       else
                         for (int64_t i = 0; i < n; ++i)
                           d[i] = Expression::second(x[0][i], x[1][i], x[2][i]);
                     });
    });
  }
}

/// What reaches the operands of a maximum or minimum: equal ones share.
template <class F>
void extremeBackward(CpuContext& context, const KernelCall& call) {
  const TensorView& dy = *call.outputGradient(0);
  std::vector<TensorView> reads{dy};
  size_t operands = 0;
  while (const TensorView* x = call.forwardInput(operands)) reads.push_back(*x), ++operands;
  for (size_t o = 0; o < call.outputs.size(); ++o) {
    const size_t wrt = call.op->outputSlots[o].index + 1;
    withFloatType(call, [&](auto number) {
      using A = decltype(number);
      const auto share = [&](const A* const* x, int64_t i) {
        A extreme = x[1][i];
        int64_t equal = 0;
        for (size_t k = 2; k <= operands; ++k) extreme = F::apply(extreme, x[k][i]);
        for (size_t k = 1; k <= operands; ++k) equal += x[k][i] == extreme;
        return x[wrt][i] == extreme ? x[0][i] / static_cast<A>(equal) : A(0);
      };
      mapGradient<A>(context, reads, dy.type.shape, call.outputs[o], static_cast<int64_t>(operands),
                     [&](const A* const* x, A* d, int64_t n) {
                       for (int64_t i = 0; i < n; ++i) d[i] = share(x, i);
                     });
    });
  }
}

void whereBackward(CpuContext& context, const KernelCall& call) {
  const TensorView& dy = *call.outputGradient(0);
  const std::array<TensorView, 2> reads{dy, *call.forwardInput(0)};
  for (size_t o = 0; o < call.outputs.size(); ++o) {
    const bool whenTrue = call.op->outputSlots[o].index == 1;
    withFloatType(call, [&](auto number) {
      using A = decltype(number);
      mapGradient<A>(context, reads, dy.type.shape, call.outputs[o], 1,
                     [&](const A* const* x, A* d, int64_t n) {
                       for (int64_t i = 0; i < n; ++i)
                         d[i] = (x[1][i] != A(0)) == whenTrue ? x[0][i] : A(0);
                     });
    });
  }
}

constexpr CpuKernels kKernels[] = {
    {"Add", forward<Plus>, passBackward<1>},
    {"Sub", forward<Minus>, passBackward<-1>},
    {"Mul", forward<Times>, expressionBackward<MulGradient>},
    {"Div", forward<Quotient>, expressionBackward<DivGradient>},
    {"Pow", forward<Power>, expressionBackward<PowGradient>},
    {"Mod", remainderForward},
    {"BitShift", shiftForward},
    {"BitwiseAnd", forwardBits<BitAnd>},
    {"BitwiseOr", forwardBits<BitOr>},
    {"BitwiseXor", forwardBits<BitXor>},
    {"And", forward<Conjunction>},
    {"Or", forward<Disjunction>},
    {"Xor", forward<Exclusion>},
    {"Equal", forward<IsEqual>},
    {"Less", forward<IsLess>},
    {"LessOrEqual", forward<IsAtMost>},
    {"Greater", forward<IsGreater>},
    {"GreaterOrEqual", forward<IsAtLeast>},
    {"Sum", forward<Plus>, passBackward<1>},
    {"Mean", meanForward, meanBackward},
    {"Max", forward<Larger>, extremeBackward<Larger>},
    {"Min", forward<Smaller>, extremeBackward<Smaller>},
    {"Where", whereForward, whereBackward},
    {"PRelu", preluForward, expressionBackward<PReluGradient>},
};

}  // namespace

std::span<const CpuKernels> binaryKernels() {
  return kKernels;
}

}  // namespace meshplan
