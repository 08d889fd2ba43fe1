// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QString>
#include <array>
#include <optional>
#include <vector>

#include "app/comparison.h"
#include "planner/simulator.h"

namespace meshplan::gui {

/// Where a predicted time comes from, and one standard deviation of it, relative; below 0: not
/// known.
struct TimeEvidence {
  Provenance provenance = Provenance::analytic;
  double uncertainty = -1;
};

/// Of the instructions of a program, by routine and place in it.
class EvidenceTable {
 public:
  EvidenceTable() = default;  // knows nothing
  explicit EvidenceTable(const InstructionTimes& times);
  /// Of what a run was predicted to take: by operator and phase, without uncertainties.
  explicit EvidenceTable(const Comparison& comparison);

  std::optional<TimeEvidence> of(uint32_t routine, uint32_t instruction) const;

 private:
  std::vector<std::vector<std::optional<TimeEvidence>>> rows_;
};

/// Of several times together. Errors of times of one kind are taken to be alike, so they add up.
class EvidenceSum {
 public:
  void add(double seconds, const std::optional<TimeEvidence>& evidence);
  EvidenceSum& operator+=(const EvidenceSum& other);
  bool known() const { return known_ > 0; }
  /// Behind most of the time.
  Provenance provenance() const;
  /// "measured, ± 3.0 %", "61.0 % interpolated, 39.0 % analytic, ± 12.0 %"; empty: not known.
  QString text() const;

 private:
  std::array<double, 3> seconds_{};  // by Provenance
  double known_ = 0, errors_ = 0, withErrors_ = 0;
};

/// "interpolated, ± 8.0 %"
QString evidenceText(const TimeEvidence& evidence);

}  // namespace meshplan::gui
