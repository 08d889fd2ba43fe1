// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "app/planning.h"
#include "backend/recorded_training.h"
#include "core/program.h"
#include "profiles/profile_store.h"

namespace meshplan {

/// Times all collectives between so many ranks of the backend, from small to large, and stores the
/// rows; returns how many, 0 when the store has them or the times would teach nothing.
size_t sweepCollectives(RankBackend& backend, int ranks, ProfileStore& store, bool again);

/// What candidate plans need to be known about operators and collectives, and which of these plans
/// to run to learn it: a fast one with much of its time in work that is not known yet, so that
/// what is learned first matters most. Operators are timed in the company in which they run, by
/// training for a few steps.
class Measuring {
 public:
  /// `plans` must outlive it.
  Measuring(const Planning& planning, const std::vector<Plan>& plans, RankBackend& backend,
            const LocalRanks& ranks);

  /// What the store holds about this device need not be measured again.
  void skipKnown(const ProfileStore& store);

  size_t total() const { return wanted_; }
  size_t left() const { return missing_.size(); }

  struct Progress {
    std::string strategy;                   // of the plan that was run
    size_t operators = 0, collectives = 0;  // rows stored
    double overhead = 0;                    // share of the step that recording took
  };
  /// Runs the most instructive plan and stores what it taught. Nothing must be left.
  Progress measureNext(ProfileStore& store, const std::function<bool()>& stop);

 private:
  /// An operator by its work, or a collective by kind, bytes, ranks of a group and groups.
  using Key = std::tuple<uint64_t, int, int64_t, int64_t, int64_t>;

  struct Candidate {
    const Plan* plan;
    std::map<Key, double> seconds;  // of a step, by formula
  };

  Candidate candidateOf(const Plan& plan) const;
  /// The share of its step that is not known, over the step.
  double promise(const Candidate& c) const;

  const Planning& planning_;
  RankBackend& backend_;
  LocalRanks ranks_;
  std::vector<Candidate> candidates_;
  std::set<Key> missing_;
  size_t wanted_ = 0;
};

}  // namespace meshplan
