// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "backend/cpu/simd.h"
#include "backend/optimizer.h"

/// The formulas of the optimizers for one weight, for processors and GPUs: `next` returns the new
/// weight w for gradient g and changes its states m and v.
namespace meshplan::optimizer {

/// What the formulas need of the settings, worked out once per step.
template <class A>
struct Rates {
  explicit Rates(const OptimizerSettings& s)
      : decay(static_cast<A>(s.weightDecay)),
        shrink(static_cast<A>(1 - s.learningRate * s.weightDecay)),
        momentum(static_cast<A>(s.momentum)),
        beta2(static_cast<A>(s.beta2)),
        rest1(static_cast<A>(1 - s.beta1)),
        rest2(static_cast<A>(1 - s.beta2)),
        epsilon(static_cast<A>(s.epsilon)),
        rate(static_cast<A>(s.learningRate)) {
    const auto step = static_cast<double>(s.step);
    corrected = static_cast<A>(s.learningRate / (1 - std::pow(s.beta1, step)));
    rootScale = static_cast<A>(1 / std::sqrt(1 - std::pow(s.beta2, step)));
  }
  template <class B>
  MESHPLAN_INLINE explicit Rates(const Rates<B>& r)
      : decay(static_cast<A>(r.decay)),
        shrink(static_cast<A>(r.shrink)),
        momentum(static_cast<A>(r.momentum)),
        beta2(static_cast<A>(r.beta2)),
        rest1(static_cast<A>(r.rest1)),
        rest2(static_cast<A>(r.rest2)),
        epsilon(static_cast<A>(r.epsilon)),
        rate(static_cast<A>(r.rate)),
        corrected(static_cast<A>(r.corrected)),
        rootScale(static_cast<A>(r.rootScale)) {}
  Rates() = default;

  A decay{}, shrink{}, momentum{}, beta2{}, rest1{}, rest2{}, epsilon{}, rate{}, corrected{},
      rootScale{};
};

struct Sgd {
  static constexpr int kStates = 0;
  template <class A>
  static MESHPLAN_INLINE A next(A w, A g, A&, A&, const Rates<A>& r) {
    return w - r.rate * (g + r.decay * w);
  }
};
struct Momentum {
  static constexpr int kStates = 1;
  template <class A>
  static MESHPLAN_INLINE A next(A w, A g, A& m, A&, const Rates<A>& r) {
    m = r.momentum * m + (g + r.decay * w);
    return w - r.rate * m;
  }
};
template <class A>
MESHPLAN_INLINE A adamStep(A w, A g, A& m, A& v, const Rates<A>& r) {
  m += r.rest1 * (g - m);
  v = r.beta2 * v + r.rest2 * g * g;
  return w - r.corrected * m / (std::sqrt(v) * r.rootScale + r.epsilon);
}
struct Adam {
  static constexpr int kStates = 2;
  template <class A>
  static MESHPLAN_INLINE A next(A w, A g, A& m, A& v, const Rates<A>& r) {
    return adamStep(w, g + r.decay * w, m, v, r);
  }
};
struct AdamW {
  static constexpr int kStates = 2;
  template <class A>
  static MESHPLAN_INLINE A next(A w, A g, A& m, A& v, const Rates<A>& r) {
    return adamStep(w * r.shrink, g, m, v, r);
  }
};

}  // namespace meshplan::optimizer
