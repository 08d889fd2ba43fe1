// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/optimizer_update.h"

#include <cmath>
#include <string>

#include "backend/cpu/element.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/simd.h"
#include "backend/optimizer_rules.h"

namespace meshplan {
namespace {

using namespace optimizer;

/// `source` are the weights that count: the master weights, or `weights` itself.
template <class Rule, class W, class G, class S, class A>
MESHPLAN_SIMD void step(W* weights, S* source, const G* __restrict gradient, A* __restrict first,
                        A* __restrict second, int64_t n, Rates<A> rates) {
  for (int64_t i = 0; i < n; ++i) {
    A m{}, v{};
    if constexpr (Rule::kStates > 0) m = first[i];
    if constexpr (Rule::kStates > 1) v = second[i];
    const A w = Rule::next(static_cast<A>(source[i]), static_cast<A>(gradient[i]), m, v, rates);
    if constexpr (Rule::kStates > 0) first[i] = m;
    if constexpr (Rule::kStates > 1) second[i] = v;
    source[i] = S(w);
    if constexpr (!std::is_same_v<W, S>) weights[i] = W(w);
  }
}

template <class Rule, class W, class G, class S, class A>
void run(const CpuContext& context, const OptimizerSettings& settings, const ParameterUpdate& u,
         S* source) {
  const Rates<A> rates(settings);
  auto* weights = static_cast<W*>(u.weights);
  const auto* gradient = static_cast<const G*>(u.gradient);
  auto *first = static_cast<A*>(u.states[0]), *second = static_cast<A*>(u.states[1]);
  parallelRanges(context, u.count, 4, [&](int64_t begin, int64_t end) {
    step<Rule, W, G, S, A>(weights + begin, source + begin, gradient + begin,
                           Rule::kStates > 0 ? first + begin : nullptr,
                           Rule::kStates > 1 ? second + begin : nullptr, end - begin, rates);
  });
}

template <class W, class G, class S, class A>
void chooseRule(const CpuContext& context, const OptimizerSettings& settings,
                const ParameterUpdate& u, S* source) {
  switch (settings.kind) {
    case OptimizerKind::sgd:
      return run<Sgd, W, G, S, A>(context, settings, u, source);
    case OptimizerKind::momentum:
      return run<Momentum, W, G, S, A>(context, settings, u, source);
    case OptimizerKind::adam:
      return run<Adam, W, G, S, A>(context, settings, u, source);
    case OptimizerKind::adamw:
      return run<AdamW, W, G, S, A>(context, settings, u, source);
  }
}

/// fp32 master weights beside fp32 ones would be the same numbers twice: they are only copied.
template <class W, class G>
void chooseMaster(const CpuContext& context, const OptimizerSettings& settings,
                  const ParameterUpdate& u) {
  using A = Wide<W>;
  if (u.master && !std::is_same_v<W, A>)
    return chooseRule<W, G, A, A>(context, settings, u, static_cast<A*>(u.master));
  chooseRule<W, G, W, A>(context, settings, u, static_cast<W*>(u.weights));
  if (!u.master) return;
  const auto* from = static_cast<const W*>(u.weights);
  auto* to = static_cast<A*>(u.master);
  for (int64_t i = 0; i < u.count; ++i) to[i] = static_cast<A>(from[i]);
}

}  // namespace

void updateParameters(const CpuContext& context, const OptimizerSettings& settings,
                      const ParameterUpdate& u) {
  const DType w = u.weightsType, g = u.gradientType;
  if (w == DType::f64 && g == DType::f64) return chooseMaster<double, double>(context, settings, u);
  if (w == DType::f32 && g == DType::f32) return chooseMaster<float, float>(context, settings, u);
  if (w == DType::f32 && g == DType::bf16)
    return chooseMaster<float, BFloat16>(context, settings, u);
  if (w == DType::bf16 && g == DType::f32)
    return chooseMaster<BFloat16, float>(context, settings, u);
  if (w == DType::bf16 && g == DType::bf16)
    return chooseMaster<BFloat16, BFloat16>(context, settings, u);
  throw Error(ErrorKind::runtime,
              "the CPU does not update " + std::string(dtypeName(w)) + " weights with " +
                  std::string(dtypeName(g)) + " gradients",
              "use fp32, bf16 or fp64");
}

}  // namespace meshplan
