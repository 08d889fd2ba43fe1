// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "planner/search/candidate.h"
#include "planner/search/evaluate.h"
#include "planner/search/stage_runs.h"

namespace meshplan {

/// The sharding question of a mesh and its Pareto front.
struct ShardingKey {
  int64_t tensor, expert, microBatch;
  auto operator<=>(const ShardingKey&) const = default;
};
struct ShardingAnswer {
  ShardingKey key;
  std::vector<ShardingPoint> points;
};

/// The groups of a mesh that a closed form asks for.
struct MeshGroups {
  GroupTopology tensor, expert, data, replicas, pipeline;
};

/// Step time, bound and memory of candidates without simulation; docs/architecture.md derives the
/// formula. What candidates share is answered once: the cut and the sums of its stages per
/// (shardings, recomputation, chunks), micro-batches in flight per schedule, collectives per size
/// and group. Not for several threads at once.
class ClosedForm {
 public:
  ClosedForm(const PlanContext& context, const SearchSpace& space,
             const std::vector<ShardingAnswer>& answers);

  /// Fills in estimate, bound, memory and whether it fits; false when the model has too few blocks.
  bool complete(Candidate& candidate);
  /// Where the candidate's chunks start: the fastest cut, or the fastest that fits.
  std::vector<int64_t> starts(const Candidate& candidate);
  const MeshGroups& groups(const MeshShape& mesh);

  /// How often something was computed, not looked up.
  struct Counts {
    uint64_t cuts = 0, runs = 0, collectives = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Cut {
    std::vector<int64_t> starts;  // empty: too few blocks, or nothing fits
    std::vector<StageRun> runs;
  };
  struct StageTime {
    double forward, backward, after;
    double atLeastAfter;  // what no overlap hides of `after`
    double dataStream;    // that stream's own work per micro-batch
  };
  struct CollectiveKey {
    CollectiveKind kind;
    int64_t bytes;
    const GroupTopology* group;
    bool operator==(const CollectiveKey&) const = default;
  };
  struct Hash {
    size_t operator()(const CollectiveKey& k) const;
    size_t operator()(const std::array<int64_t, 4>& k) const;
  };
  template <class V>
  using Map = std::unordered_map<std::array<int64_t, 4>, V, Hash>;

  const std::vector<BlockCost>& costs(const Candidate& c) const {
    return answers_[c.shardings].points[c.point].blocks;
  }
  const Cut& fastestCut(const Candidate& c);
  Cut limitedCut(const Candidate& c);
  bool mayFit(const Candidate& c, const Cut& cut);
  std::vector<int64_t> solveCut(const Candidate& c, bool limited);
  /// Micro-batches in flight per virtual stage, at each moment that may be the fullest.
  const std::vector<std::vector<int64_t>>& moments(const Candidate& c, int64_t stage);
  /// The most per virtual stage, which need not be at the same moment.
  std::vector<int64_t> held(const Candidate& c, int64_t stage);
  double residentBytes(const Candidate& c, double dense, double expert) const;
  double memoryOf(const Candidate& c, const std::vector<StageRun>& runs);
  double reserve(const MeshShape& mesh);
  double collective(CollectiveKind kind, double bytes, const GroupTopology& group);
  double bucketed(CollectiveKind kind, double bytes, const GroupTopology& group);
  double updateTime(const Candidate& c, const StageSums& s) const;
  StageTime timeOf(const Candidate& c, const StageSums& s, const MeshGroups& g);
  double transferTime(const Candidate& c, const std::vector<int64_t>& starts, const MeshGroups& g);
  void time(Candidate& c, const Cut& cut);

  const PlanContext& context_;
  const SearchSpace& space_;
  const std::vector<ShardingAnswer>& answers_;
  double weightBytes_, gradientBytes_;  // of one element
  double limit_;
  Map<MeshGroups> groups_;
  Map<std::vector<int64_t>> cuts_;
  Map<Cut> runs_;
  Map<std::vector<std::vector<std::vector<int64_t>>>> moments_;  // by stage
  Map<double> reserves_;
  std::unordered_map<CollectiveKey, double, Hash> collectives_;
  Counts counts_;
};

}  // namespace meshplan
