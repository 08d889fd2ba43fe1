// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "planner/search/evaluate.h"
#include "planner/search/shardings.h"
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
      0;  // no schedule of these chunks is faster: compute alone, without any communication
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

/// Enumerates mesh shapes x micro-batch x schedule x virtual stages x recomputation x ZeRO stage x
/// shardings, and gives each its closed-form time and memory. The shardings are solved once per
/// (tensor, expert, micro-batch), the stage cuts once per distinct question. docs/architecture.md
/// derives the closed form.
class Candidates {
 public:
  Candidates(const PlanContext& context, SearchSpace space);
  ~Candidates();

  /// Every candidate that the filter allows, in a fixed order.
  std::vector<Candidate> enumerate();
  /// The full plan of a candidate.
  Plan plan(const Candidate& candidate) const;

 private:
  struct ShardingKey {
    int64_t tensor, expert, microBatch;
    auto operator<=>(const ShardingKey&) const = default;
  };
  struct Shardings {
    ShardingKey key;
    std::vector<ShardingPoint> points;
  };
  struct Stage;
  struct Cut;
  struct StageTime;
  struct Groups;

  std::vector<int64_t> tensorDegrees() const;
  std::vector<int64_t> expertDegrees() const;
  std::vector<int64_t> microBatches(int64_t perReplica) const;
  std::vector<std::pair<ScheduleKind, int64_t>> schedules(int64_t pipeline,
                                                          int64_t microBatches) const;
  void solveShardings();
  void enumerateMesh(const MeshShape& mesh, std::vector<Candidate>& out);
  void enumerateSchedules(Candidate base, std::vector<Candidate>& out);
  bool complete(Candidate& candidate) const;
  Cut bestCut(const Candidate& candidate) const;
  StageTime timeOf(const Candidate& c, const Stage& stage, const Groups& groups) const;
  double bucketed(CollectiveKind kind, double bytes, const GroupTopology& group) const;
  double updateTime(const Candidate& c, const Stage& stage) const;
  double transferTime(const Candidate& c, const std::vector<int64_t>& starts,
                      const Groups& groups) const;
  double memoryOf(const Candidate& c, const std::vector<Stage>& stages) const;
  std::vector<int64_t> cut(const Candidate& candidate, bool limited) const;
  std::vector<Stage> stagesOf(const Candidate& candidate, const std::vector<int64_t>& starts) const;
  const Groups& groups(const MeshShape& mesh) const;
  double blockTime(const Candidate& c, const BlockCost& b) const;
  double residentBytes(const Candidate& c, const BlockCost& b) const;
  double savedBytes(const Candidate& c, const BlockCost& b) const;
  /// Micro-batches in flight per virtual stage.
  const std::vector<int64_t>& held(const Candidate& c, int64_t stage) const;
  const ShardingPoint& pointOf(const Candidate& c) const;
  int64_t blockCount() const;

  const PlanContext& context_;
  struct {
    double weight = 0, gradient = 0;  // bytes of one element
  } bytes_;
  SearchSpace space_;
  ShardingProblem problem_;
  std::vector<Shardings> shardings_;
  std::map<ShardingKey, uint32_t> shardingIndex_;
  mutable std::map<std::tuple<int64_t, int64_t, int64_t, int64_t>, std::unique_ptr<Groups>> groups_;
  mutable std::map<std::tuple<int, int64_t, int64_t, int64_t>, std::vector<std::vector<int64_t>>>
      inFlight_;
  mutable std::map<std::tuple<uint32_t, uint32_t, int, int64_t, int64_t>, std::vector<int64_t>>
      cuts_;
};

}  // namespace meshplan
