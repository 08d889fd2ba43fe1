// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "planner/search/closed_form.h"
#include "planner/search/evaluate.h"

namespace meshplan {

/// Enumerates mesh shapes x micro-batch x schedule x virtual stages x recomputation x ZeRO stage x
/// shardings, and gives each its closed-form time and memory. The shardings are solved once per
/// (tensor, expert, micro-batch), the stage cuts once per distinct question. docs/architecture.md
/// derives the closed form.
class Candidates {
 public:
  Candidates(const PlanContext& context, SearchSpace space);
  Candidates(const Candidates&) = delete;
  Candidates& operator=(const Candidates&) = delete;

  /// Every candidate that the filter allows, in a fixed order.
  std::vector<Candidate> enumerate();
  /// How often the closed form had to compute instead of looking up.
  const ClosedForm::Counts& counts() const { return closedForm_.counts(); }
  /// The full plan of a candidate.
  Plan plan(const Candidate& candidate) const;

 private:
  std::vector<int64_t> tensorDegrees() const;
  std::vector<int64_t> expertDegrees() const;
  std::vector<int64_t> microBatches(int64_t perReplica) const;
  std::vector<std::pair<ScheduleKind, int64_t>> schedules(int64_t pipeline,
                                                          int64_t microBatches) const;
  void solveShardings();
  void enumerateMesh(const MeshShape& mesh, std::vector<Candidate>& out);
  void enumerateSchedules(Candidate base, std::vector<Candidate>& out);
  const ShardingPoint& pointOf(const Candidate& c) const;
  int64_t blockCount() const;

  const PlanContext& context_;
  SearchSpace space_;
  ShardingProblem problem_;
  std::vector<ShardingAnswer> answers_;
  std::map<ShardingKey, uint32_t> answerOf_;
  mutable ClosedForm closedForm_;
};

}  // namespace meshplan
