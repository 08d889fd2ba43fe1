// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/planning.h"
#include "core/timeline_diff.h"
#include "profiles/profile_store.h"

namespace meshplan {

/// A measured run beside its prediction.
struct Comparison {
  RunMeasurement run;  // with the prediction that is compared
  bool again = false;  // predicted with what is known now, and not before the run
  std::unique_ptr<Planning> planning;
  Program program;
  Timeline predicted, measured;
  TimelineDiff diff;
  /// Of the predicted times of operators (by operator and phase), and of collectives (by kind,
  /// axes and bytes): the provenance of most of the time.
  std::map<std::pair<OpId, std::string>, std::string> operatorProvenance;
  std::vector<std::string> collectiveProvenance;  // as diff.byCollective

  double error() const { return diff.step.relativeError(); }
};

/// The run of the plan that it was stored with. `again`: predicted with what `profiles` (empty:
/// nothing) knows now, instead of as it was before the run. Throws Error(input) when the model has
/// changed since, or the rows are not those of the plan.
Comparison compareRun(RunMeasurement run, std::vector<InstructionMeasurement> instructions,
                      bool again, const std::string& profiles, const Tell& tell);

/// "12" or "last" among the runs of a store, newest first; nothing for other texts. Throws
/// Error(usage) when there is no such run.
std::optional<RunMeasurement> findRun(const std::vector<RunMeasurement>& runs,
                                      const std::string& text);

/// The newest run of this plan: of the same decisions for the same graph. Throws Error(usage) when
/// there is none.
RunMeasurement newestRunOf(const std::vector<RunMeasurement>& runs, const std::string& planFile);

}  // namespace meshplan
