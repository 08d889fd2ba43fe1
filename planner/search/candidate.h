// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "core/plan.h"
#include "planner/search/strategy_filter.h"

namespace meshplan {

/// One configuration in closed form. `shardings` and `point` name the answer of the sharding search
/// that it uses.
struct Candidate {
  MeshShape mesh;
  int64_t microBatch = 1;
  ScheduleKind schedule = ScheduleKind::oneFOneB;
  int64_t virtualStages = 1;
  Recompute recompute = Recompute::none;
  int zeroStage = 0;
  uint32_t shardings = 0, point = 0;
  double estimate = 0;  // seconds of the step
  double lowerBound =
      0;              // no schedule of these chunks is faster: see docs/architecture.md, "Search"
  double memory = 0;  // bytes of the fullest stage, without transient buffers; > limit: rejected
  bool fits = true;
};

struct SearchSpace {
  int64_t globalBatch = 1;
  int64_t bucketBytes = 25 * kMiB;
  StrategyFilter filter;
  std::function<bool()> stop;  // polled; the enumeration ends early when it returns true
  int threads = 1;
};

}  // namespace meshplan
