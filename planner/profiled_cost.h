// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "planner/busy_ratios.h"
#include "planner/class_ratios.h"
#include "planner/cost_model.h"
#include "planner/measured_collectives.h"
#include "planner/residual_field.h"
#include "profiles/contradiction.h"

namespace meshplan {

/// What a profile is asked for.
struct ProfileOptions {
  int busy = 1;                       // ranks of the host that compute at once
  std::string transport = "threads";  // of collectives
  std::string libraries = {};         // whose rows count first; empty: those of the newest row
};

/// Seconds from measurements of one device, and where there are none from a formula that they
/// correct (docs/cost_model.md, "Learning from measurements"):
///   measured      this very work (workKey) was timed
///   interpolated  the formula, times a ratio kriged from the shapes of the same operator, phase
///   and
///                 compute dtype that were timed, where these explain most of it
///   analytic      the formula, times the ratio of the work's class on this device, which follows
///                 the shape as far as other operators, phases and shapes of the class tell
/// with one standard deviation from the samples, from leave-one-out errors, from the class's
/// residuals. Everything is prepared by the constructor; look-ups are thread-safe and do not
/// allocate. Without rows it answers as the formula.
class ProfiledCost : public CostModel {
 public:
  ProfiledCost(std::unique_ptr<CostModel> formula,
               const std::vector<OperatorMeasurement>& operators,
               const std::vector<CollectiveMeasurement>& collectives,
               const ProfileOptions& options = {});

  Estimate operatorTime(const OperatorWork& work) const override;
  Estimate collectiveTime(CollectiveKind kind, Bytes bytes,
                          const GroupTopology& group) const override;
  Seconds hostTime(const OperatorWork& work) const override { return formula_->hostTime(work); }
  Seconds hostCollectiveTime() const override { return formula_->hostCollectiveTime(); }
  double computeSlowdown() const override { return formula_->computeSlowdown(); }
  double collectiveSlowdown() const override { return formula_->collectiveSlowdown(); }
  double loneSpeedup(const OperatorWork& work) const override;

  /// Rows that differ from the one that counts by more than their spreads explain.
  const std::vector<Contradiction>& contradictions() const { return contradictions_; }
  size_t operatorRows() const { return exact_.size(); }

 private:
  struct Exact {
    double seconds = 0, error = 0;
    double speedup = 0;      // loneSpeedup; 0: not measured
    bool corrected = false;  // from another number of busy ranks
  };
  static constexpr size_t kClasses = static_cast<size_t>(OpClass::opaque) + 1;

  void addExact(std::span<const BusyRatios::Row> rows);
  void learn(std::span<const BusyRatios::Row> rows);
  void addFields(const std::vector<ClassRatios::Residual>& residuals, size_t level,
                 double leastOwn);
  double reference(const OperatorWork& work, const Estimate& formula) const;
  Estimate estimate(const OperatorWork& work) const;

  std::unique_ptr<CostModel> formula_;
  std::unordered_map<uint64_t, Exact> exact_;           // by workKey
  std::unordered_map<uint64_t, ResidualField> fields_;  // of operators and classes, by kind
  ClassRatios ratios_;
  std::array<double, kClasses> speedups_{};
  MeasuredCollectives collectives_;
  std::vector<Contradiction> contradictions_;
};

}  // namespace meshplan
