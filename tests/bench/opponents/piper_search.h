// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "tests/bench/opponents/piper.h"

namespace meshplan {

struct PiperAnswer {
  PiperPlan plan;  // empty when nothing fits
  double timePerSample = 0;
  double lowerBound = 0;                                              // no plan is faster
  uint64_t downsets = 0, bottlenecks = 0, stages = 0, knapsacks = 0;  // work done
  uint64_t undecided = 0;  // knapsacks given up: with 0 the answer is proven
};

/// The fastest plan of Piper's space: the layer graph cut into stages, each with its number of
/// replicas (a divisor of the batch), tensor-parallel degree and one option per layer.
/// Bisection over the slowest stage's time. For a given time, per set of last layers the pairs
/// (devices, replicas) that suffice for it form a small front, because fewer of both is never worse
/// for the stages before it; a stage takes the fewest replicas that are fast enough and fit.
/// Exact to a relative 1e-9, but for knapsacks given up.
PiperAnswer searchPiper(const PiperInstance& instance);

}  // namespace meshplan
