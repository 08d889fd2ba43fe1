// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/binary.cpp, broadcast_gradient.cpp. Bound by bandwidth.
#include <array>

#include "backend/cpu/arithmetic.h"
#include "backend/cuda/box_kernels.h"
#include "backend/cuda/elementwise_tables.h"
#include "backend/cuda/kernels/broadcast_map.h"
#include "backend/cuda/uniform_operands.h"

namespace meshplan {
namespace {

using namespace arithmetic;
using device::Compute;
using device::kDType;

constexpr size_t kMostOperands = 4;
constexpr int kTermsPurpose = 40;

bool takesOperands(const KernelCall& call) {
  return call.isGradient() || call.inputs.size() <= kMostOperands;
}

/// A gradient reads all operands and that of the result.
bool takesAllOperands(const KernelCall& call) {
  return call.inputs.size() <= kMostOperands + (call.isGradient() ? 1 : 0);
}

/// Calls f(std::integral_constant) for a number of operands.
template <class F>
void withCount(size_t count, F&& f) {
  if (count == 1) return f(std::integral_constant<size_t, 1>{});
  if (count == 2) return f(std::integral_constant<size_t, 2>{});
  if (count == 3) return f(std::integral_constant<size_t, 3>{});
  f(std::integral_constant<size_t, 4>{});
}

template <class T, size_t>
using Same = T;

/// mapOn with K operands of one type from operand `first` on, behind those in `front`.
template <class Out, class T, class F, size_t... I>
void mapSame(CudaContext& context, const F& f, const TensorView& out,
             const UniformOperands& operands, std::index_sequence<I...>) {
  mapOn<Compute<T>, Out, Same<T, I>...>(context, f, out, {operands.in(I)...});
}

template <class F, class A>
struct Joined {
  MESHPLAN_INLINE A operator()(A a) const { return a; }
  template <class... More>
  MESHPLAN_INLINE A operator()(A a, A b, More... more) const {
    return (*this)(F::apply(a, b), more...);
  }
};

template <class A>
struct Average {
  template <class... V>
  MESHPLAN_INLINE A operator()(V... values) const {
    return Joined<Plus, A>{}(values...) * (A(1) / static_cast<A>(sizeof...(V)));
  }
};

/// Two or more operands joined from the left; one is copied.
template <class F>
void forward(CudaContext& context, const KernelCall& call) {
  UniformOperands operands(context, call.inputs, call.outputs[0]);
  device::withNumber(*call.op, operands.dtype(), [&](auto element) {
    using T = decltype(element);
    withCount(call.inputs.size(), [&](auto count) {
      mapSame<T, T>(context, Joined<F, Compute<T>>{}, operands.out(), operands,
                    std::make_index_sequence<count()>{});
    });
  });
  operands.finish();
}

template <class F, class Number>
void forwardPair(CudaContext& context, const KernelCall& call, Number withType) {
  UniformOperands operands(context, call.inputs, call.outputs[0]);
  withType(operands.dtype(), [&](auto element) {
    using T = decltype(element);
    mapOn<Compute<T>, T, T, T>(context, Joined<F, Compute<T>>{}, operands.out(),
                               {operands.in(0), operands.in(1)});
  });
  operands.finish();
}

template <class F>
void forwardTwo(CudaContext& context, const KernelCall& call) {
  forwardPair<F>(context, call,
                 [&](DType dtype, auto&& f) { device::withNumber(*call.op, dtype, f); });
}

template <class F>
void forwardBits(CudaContext& context, const KernelCall& call) {
  forwardPair<F>(context, call, [&](DType, auto&& f) { f(int64_t{}); });
}

/// Truth as bytes, whatever is compared.
template <class F>
void forwardTruth(CudaContext& context, const KernelCall& call) {
  UniformOperands operands(context, call.inputs, call.outputs[0], false);
  device::withNumber(*call.op, operands.dtype(), [&](auto element) {
    using T = decltype(element);
    mapOn<Compute<T>, uint8_t, T, T>(context, Joined<F, Compute<T>>{}, operands.out(),
                                     {operands.in(0), operands.in(1)});
  });
}

void remainderForward(CudaContext& context, const KernelCall& call) {
  if (call.op->attributes.getInt("fmod", 0)) return forwardTwo<Remainder>(context, call);
  forwardTwo<FloorRemainder>(context, call);
}

void shiftForward(CudaContext& context, const KernelCall& call) {
  if (call.op->attributes.getString("direction", "LEFT") == "LEFT")
    return forwardBits<ShiftLeft>(context, call);
  forwardBits<ShiftRight>(context, call);
}

void meanForward(CudaContext& context, const KernelCall& call) {
  UniformOperands operands(context, call.inputs, call.outputs[0]);
  device::withElement(*call.op, operands.dtype(), [&](auto element) {
    using T = decltype(element);
    withCount(call.inputs.size(), [&](auto count) {
      mapSame<T, T>(context, Average<Compute<T>>{}, operands.out(), operands,
                    std::make_index_sequence<count()>{});
    });
  });
  operands.finish();
}

template <class A>
struct Chosen {
  MESHPLAN_INLINE A operator()(A condition, A a, A b) const { return condition != A(0) ? a : b; }
};

/// Conditions as bytes.
TensorView bytesOf(CudaContext& context, const TensorView& condition) {
  if (dtypeBytes(condition.type.dtype) == 1) return condition;
  const TensorView bytes =
      UniformOperands::beside(context, {DType::boolean, condition.type.shape}, kTermsPurpose + 1);
  castElements(context, condition, bytes);
  return bytes;
}

void whereForward(CudaContext& context, const KernelCall& call) {
  const TensorView condition = bytesOf(context, call.inputs[0]);
  UniformOperands operands(context, call.inputs.subspan(1), call.outputs[0]);
  device::withNumber(*call.op, operands.dtype(), [&](auto element) {
    using T = decltype(element);
    mapOn<Compute<T>, T, uint8_t, T, T>(context, Chosen<Compute<T>>{}, operands.out(),
                                        {condition, operands.in(0), operands.in(1)});
  });
  operands.finish();
}

template <class A>
struct Leaking {
  MESHPLAN_INLINE A operator()(A x, A slope) const { return x < A(0) ? x * slope : x; }
};

void preluForward(CudaContext& context, const KernelCall& call) {
  UniformOperands operands(context, call.inputs, call.outputs[0]);
  device::withNumber(*call.op, operands.dtype(), [&](auto element) {
    using T = decltype(element);
    mapOn<Compute<T>, T, T, T>(context, Leaking<Compute<T>>{}, operands.out(),
                               {operands.in(0), operands.in(1)});
  });
  operands.finish();
}

/// map(Out, target) writes terms of type Out to a tensor of the shape `whole`; their sums go to
/// `to`.
template <class T, class Map>
void sumTerms(CudaContext& context, const Shape& whole, const TensorView& to, Map&& map) {
  using A = Compute<T>;
  const bool sums = elementCount(whole) != to.type.elements();
  if (!sums && to.type.dtype == kDType<T>) return map(T{}, TensorView{to.data, {kDType<T>, whole}});
  if (!sums && to.type.dtype == kDType<A>) return map(A{}, TensorView{to.data, {kDType<A>, whole}});
  const TensorView terms = UniformOperands::beside(context, {kDType<A>, whole}, kTermsPurpose);
  map(A{}, terms);
  if (sums) return sumBox(context, broadcastBox(whole, to.type.shape), terms, to);
  castElements(context, terms, to);
}

template <class A>
struct Scaled {
  A factor;
  MESHPLAN_INLINE A operator()(A x) const { return factor * x; }
};

/// factor x dy, summed to the shape of an operand that broadcasts.
void passGradient(CudaContext& context, const KernelCall& call, const TensorView& to,
                  double factor) {
  const TensorView& dy = *call.outputGradient(0);
  if (dy.type.elements() != to.type.elements())
    return sumBox(context, broadcastBox(dy.type.shape, to.type.shape), dy, to, factor);
  if (factor == 1) return castElements(context, dy, to);
  device::withElement(*call.op, dy.type.dtype, [&](auto element) {
    using T = decltype(element);
    using A = Compute<T>;
    sumTerms<T>(context, dy.type.shape, to, [&](auto out, const TensorView& terms) {
      mapOn<A, decltype(out), T>(context, Scaled<A>{static_cast<A>(factor)}, terms, {dy});
    });
  });
}

/// Add, Sub and Sum: the gradient itself, with the sign of the second operand.
template <int second>
void passBackward(CudaContext& context, const KernelCall& call) {
  for (size_t o = 0; o < call.outputs.size(); ++o)
    passGradient(context, call, call.outputs[o], call.op->outputSlots[o].index == 1 ? second : 1);
}

void meanBackward(CudaContext& context, const KernelCall& call) {
  const auto operands = static_cast<double>(call.op->attributes.getInt("operands", 1));
  for (const TensorView& dx : call.outputs) passGradient(context, call, dx, 1 / operands);
}

template <class Expression, class A>
struct Gradient {
  bool first;
  MESHPLAN_INLINE A operator()(A dy, A a, A b) const {
    return first ? Expression::first(dy, a, b) : Expression::second(dy, a, b);
  }
};

/// One expression per operand over the gradient and the forward inputs that exist, in slot order.
template <class Expression>
void expressionBackward(CudaContext& context, const KernelCall& call) {
  const TensorView& dy = *call.outputGradient(0);
  std::vector<TensorView> reads{dy};
  for (size_t i = 0; i < 2; ++i) reads.push_back(call.forwardInput(i) ? *call.forwardInput(i) : dy);
  const UniformOperands operands(context, reads, call.outputs[0], false);
  device::withElement(*call.op, operands.dtype(), [&](auto element) {
    using T = decltype(element);
    for (size_t o = 0; o < call.outputs.size(); ++o) {
      const Gradient<Expression, Compute<T>> gradient{call.op->outputSlots[o].index == 0};
      sumTerms<T>(context, dy.type.shape, call.outputs[o], [&](auto out, const TensorView& to) {
        mapOn<Compute<T>, decltype(out), T, T, T>(context, gradient, to,
                                                  {operands.in(0), operands.in(1), operands.in(2)});
      });
    }
  });
}

/// What reaches one operand of a maximum or minimum: equal ones share.
template <class F, class A>
struct ExtremeShare {
  size_t wrt;
  template <class... V>
  MESHPLAN_INLINE A operator()(A dy, V... values) const {
    const A extreme = Joined<F, A>{}(values...);
    A mine = 0;
    int equal = 0;
    size_t operand = 0;
    ((mine = operand++ == wrt ? values : mine, equal += values == extreme), ...);
    return mine == extreme ? dy / static_cast<A>(equal) : A(0);
  }
};

template <class F>
void extremeBackward(CudaContext& context, const KernelCall& call) {
  const TensorView& dy = *call.outputGradient(0);
  std::vector<TensorView> reads{dy};
  while (const TensorView* x = call.forwardInput(reads.size() - 1)) reads.push_back(*x);
  const UniformOperands operands(context, reads, call.outputs[0], false);
  device::withElement(*call.op, operands.dtype(), [&](auto element) {
    using T = decltype(element);
    for (size_t o = 0; o < call.outputs.size(); ++o) {
      const ExtremeShare<F, Compute<T>> share{call.op->outputSlots[o].index};
      sumTerms<T>(context, dy.type.shape, call.outputs[o], [&](auto out, const TensorView& to) {
        withCount(reads.size() - 1, [&](auto count) {
          mapSame<decltype(out), T>(context, share, to, operands,
                                    std::make_index_sequence<count() + 1>{});
        });
      });
    }
  });
}

template <class A>
struct PassedWhere {
  bool whenTrue;
  MESHPLAN_INLINE A operator()(A dy, A condition) const {
    return (condition != A(0)) == whenTrue ? dy : A(0);
  }
};

void whereBackward(CudaContext& context, const KernelCall& call) {
  const TensorView& dy = *call.outputGradient(0);
  const TensorView condition = bytesOf(context, *call.forwardInput(0));
  device::withElement(*call.op, dy.type.dtype, [&](auto element) {
    using T = decltype(element);
    for (size_t o = 0; o < call.outputs.size(); ++o) {
      const PassedWhere<Compute<T>> passed{call.op->outputSlots[o].index == 1};
      sumTerms<T>(context, dy.type.shape, call.outputs[o], [&](auto out, const TensorView& to) {
        mapOn<Compute<T>, decltype(out), T, uint8_t>(context, passed, to, {dy, condition});
      });
    }
  });
}

constexpr CudaKernels kKernels[] = {
    {"Add", forwardTwo<Plus>, passBackward<1>},
    {"Sub", forwardTwo<Minus>, passBackward<-1>},
    {"Mul", forwardTwo<Times>, expressionBackward<MulGradient>},
    {"Div", forwardTwo<Quotient>, expressionBackward<DivGradient>},
    {"Pow", forwardTwo<Power>, expressionBackward<PowGradient>},
    {"Mod", remainderForward},
    {"BitShift", shiftForward},
    {"BitwiseAnd", forwardBits<BitAnd>},
    {"BitwiseOr", forwardBits<BitOr>},
    {"BitwiseXor", forwardBits<BitXor>},
    {"And", forwardTruth<Conjunction>},
    {"Or", forwardTruth<Disjunction>},
    {"Xor", forwardTruth<Exclusion>},
    {"Equal", forwardTruth<IsEqual>},
    {"Less", forwardTruth<IsLess>},
    {"LessOrEqual", forwardTruth<IsAtMost>},
    {"Greater", forwardTruth<IsGreater>},
    {"GreaterOrEqual", forwardTruth<IsAtLeast>},
    {"Sum", forward<Plus>, passBackward<1>, false, takesOperands},
    {"Mean", meanForward, meanBackward, false, takesOperands},
    {"Max", forward<Larger>, extremeBackward<Larger>, false, takesAllOperands},
    {"Min", forward<Smaller>, extremeBackward<Smaller>, false, takesAllOperands},
    {"Where", whereForward, whereBackward},
    {"PRelu", preluForward, expressionBackward<PReluGradient>},
};

}  // namespace

std::span<const CudaKernels> cudaBinaryKernels() {
  return kKernels;
}

}  // namespace meshplan
