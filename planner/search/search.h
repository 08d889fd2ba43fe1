// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "planner/search/candidates.h"

namespace meshplan {

/// What a search makes least: the step time, the peak memory of a rank, or the price of a step.
enum class Objective : uint8_t { time, memory, cost };

struct SearchProgress {
  uint64_t evaluated = 0;  // candidates in closed form
  uint64_t simulated = 0, toSimulate = 0;
  const PlanReport* best = nullptr;  // valid during the call
};

struct SearchOptions {
  int64_t globalBatch = 1;
  int64_t bucketBytes = 25 * kMiB;
  Objective objective = Objective::time;
  StrategyFilter filter;
  int top = 5;
  /// Simulate every candidate that its bound does not prove to be slower than the best.
  bool exhaustive = false;
  Seconds timeLimit{1e30};  // of wall time; the best so far is returned
  int threads = 1;
  std::function<bool()> stop;  // polled; true ends the search with the best so far
  std::function<void(const SearchProgress&)> progress;
};

struct SearchResult {
  std::vector<PlanReport> plans;      // best first, at most `top`; empty: nothing fits
  std::vector<PlanReport> baselines;  // what a user would try first, simulated, fitting or not
  std::vector<PlanReport> pareto;     // step time against peak memory, fastest first
  std::optional<PlanReport>
      nearestMiss;  // when nothing fits: the candidate that needs least memory
  uint64_t evaluated = 0, simulated = 0, rejected = 0;
  /// No plan of the space is faster than `lowerBound` (compute alone for candidates that were not
  /// simulated); gap = 1 - lowerBound / best. Both 0 when the search was stopped early.
  Seconds lowerBound;
  double gap = 0;
  Seconds wall;
  bool complete = true;  // false: stopped early
};

/// Searches the space for the plan of least objective under the memory limit: every candidate in
/// closed form, then the most promising ones lowered and simulated, whose value decides. The
/// baselines (plain data parallel, FSDP, tensor parallel within a node, pipeline only) are always
/// simulated, and no plan slower than a fitting baseline that the filter allows is returned. Same
/// input, same result, whatever the number of threads, unless stopped early.
SearchResult searchPlans(const PlanContext& context, const SearchOptions& options);

/// One strategy as the user wrote it: what is not said is 1, off or none, and dp takes the devices
/// that are left. Throws Error(usage) when it contradicts itself, the model, the batch or the
/// cluster.
PlanReport evaluateStrategy(const PlanContext& context, int64_t globalBatch, StrategyFilter filter);

/// The plan's neighbours: one choice changed at a time, evaluated; those that cannot exist are left
/// out.
std::vector<PlanReport> neighbours(const PlanContext& context, const PlanReport& report);

}  // namespace meshplan
