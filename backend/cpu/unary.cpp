// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <type_traits>

#include "backend/cpu/blocks.h"
#include "backend/cpu/elementwise_tables.h"
#include "backend/cpu/map_blocks.h"
#include "backend/cpu/strided.h"
#include "backend/cpu/unary_table.h"

namespace meshplan {
namespace {

using activation::Parameters;

template <class F, class A>
MESHPLAN_SIMD void forwardFast(const A* __restrict x, A* __restrict y, int64_t n, Parameters<A> p) {
  for (int64_t i = 0; i < n; ++i) y[i] = F::forward(x[i], p);
}

template <class F, class A>
MESHPLAN_SIMD void backwardFast(const A* __restrict dy, const A* __restrict s, A* __restrict dx,
                                int64_t n, Parameters<A> p) {
  for (int64_t i = 0; i < n; ++i) dx[i] = F::backward(dy[i], s[i], p);
}

template <class F, class A>
constexpr bool isFast = F::kHot&& std::is_same_v<A, float>;

template <class F, class A>
void forwardLoop(const A* x, A* y, int64_t n, const Parameters<A>& p) {
  if constexpr (isFast<F, A>)
    forwardFast<F, A>(x, y, n, p);
  else
    for (int64_t i = 0; i < n; ++i) y[i] = F::forward(x[i], p);
}

template <class F, class A>
void backwardLoop(const A* dy, const A* s, A* dx, int64_t n, const Parameters<A>& p) {
  if constexpr (isFast<F, A>)
    backwardFast<F, A>(dy, s, dx, n, p);
  else
    for (int64_t i = 0; i < n; ++i) dx[i] = F::backward(dy[i], s[i], p);
}

template <class A>
Parameters<A> parametersOf(const KernelCall& call, unary::ReadFactors read) {
  const unary::Factors f = read(call.op->attributes);
  return {static_cast<A>(f[0]), static_cast<A>(f[1])};
}

constexpr int64_t kWork = 4;

template <class F, unary::ReadFactors read>
void forward(CpuContext& context, const KernelCall& call) {
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    const Parameters<A> p = parametersOf<A>(call, read);
    mapBroadcast<A>(context, call.inputs, call.outputs[0], kWork,
                    [&](const A* const* x, A* y, int64_t n) { forwardLoop<F, A>(x[0], y, n, p); });
  });
}

/// Of operators that are defined for integers too; their attributes stay exact there.
template <class F, unary::ReadFactors read>
void forwardAny(CpuContext& context, const KernelCall& call) {
  if (computeType(call) != ComputeType::i64) return forward<F, read>(context, call);
  const unary::Factors f = read(call.op->attributes);
  const Parameters<int64_t> p{unary::whole(f[0]), unary::whole(f[1])};
  mapBroadcast<int64_t>(context, call.inputs, call.outputs[0], kWork,
                        [&](const int64_t* const* x, int64_t* y, int64_t n) {
                          forwardLoop<F, int64_t>(x[0], y, n, p);
                        });
}

template <class F, unary::ReadFactors read>
void backward(CpuContext& context, const KernelCall& call) {
  const TensorView* dy = call.outputGradient(0);
  const TensorView* s = call.forwardInput(0) ? call.forwardInput(0) : call.forwardOutput(0);
  const std::array<TensorView, 2> inputs{*dy, s ? *s : *dy};
  withFloatType(call, [&](auto number) {
    using A = decltype(number);
    const Parameters<A> p = parametersOf<A>(call, read);
    mapBroadcast<A>(
        context, inputs, *call.inputGradient(0), kWork,
        [&](const A* const* x, A* dx, int64_t n) { backwardLoop<F, A>(x[0], x[1], dx, n, p); });
  });
}

/// Identity and its gradient: bytes, of whatever type.
void copyAll(CpuContext& context, const KernelCall& call) {
  StridedBox box;
  box.add(call.inputs[0].type.elements(), 1, 1);
  copyBox(context, box, call.inputs[0], call.outputs[0]);
}

void bitwiseNot(CpuContext& context, const KernelCall& call) {
  mapBroadcast<int64_t>(context, call.inputs, call.outputs[0], 1,
                        [](const int64_t* const* x, int64_t* y, int64_t n) {
                          for (int64_t i = 0; i < n; ++i) y[i] = ~x[0][i];
                        });
}

struct Make {
  template <class F, unary::ReadFactors read = unary::none>
  static constexpr CpuKernels floats(std::string_view name) {
    return {name, forward<F, read>, backward<F, read>};
  }
  template <class F, unary::ReadFactors read = unary::none>
  static constexpr CpuKernels numbers(std::string_view name) {
    return {name, forwardAny<F, read>, backward<F, read>};
  }
  template <class F, unary::ReadFactors read = unary::none>
  static constexpr CpuKernels constant(std::string_view name) {
    return {name, forward<F, read>};
  }
  template <class F>
  static constexpr CpuKernels test(std::string_view name) {
    return {name, forwardAny<F, unary::none>};
  }
  template <class F, class TanhForm>
  static constexpr CpuKernels choice(std::string_view name) {
    return {name, chosen<forward<F, unary::none>, forward<TanhForm, unary::none>>,
            chosen<backward<F, unary::none>, backward<TanhForm, unary::none>>};
  }

 private:
  template <CpuKernel exact, CpuKernel tanhForm>
  static void chosen(CpuContext& context, const KernelCall& call) {
    (unary::isTanhForm(call.op->attributes) ? tanhForm : exact)(context, call);
  }
};

constexpr CpuKernels kOthers[] = {
    {"Identity", copyAll, copyAll},
    Make::numbers<activation::Copy>("Cast"),
    {"BitwiseNot", bitwiseNot},
};

}  // namespace

std::span<const CpuKernels> unaryKernels() {
  static constexpr auto kKernels = [] {
    constexpr auto kTable = unary::table<Make>();
    std::array<CpuKernels, kTable.size() + std::size(kOthers)> all{};
    std::copy(kTable.begin(), kTable.end(), all.begin());
    std::copy(std::begin(kOthers), std::end(kOthers), all.begin() + kTable.size());
    return all;
  }();
  return kKernels;
}

}  // namespace meshplan
