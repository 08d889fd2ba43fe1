// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QString>
#include <vector>

#include "gui/document.h"
#include "gui/models/time_evidence.h"

namespace meshplan::gui {

/// What the shown plan does with each forward operator of the model.
class OperatorFacts {
 public:
  OperatorFacts() = default;
  explicit OperatorFacts(const ShownPlan& shown);

  int64_t stage(OpId op) const { return stages_[op.index()]; }
  int64_t stages() const { return stageCount_; }
  /// Of all of them, sorted and without duplicates.
  std::vector<int64_t> stagesOf(const std::vector<OpId>& operators) const;
  /// Seconds of the step that one rank of its stage spends on it: forward, backward, recomputation,
  /// all micro-batches; updates of its parameters apart.
  Seconds time(OpId op) const { return times_[op.index()]; }
  Seconds stepTime() const { return stepTime_; }
  /// Where that time comes from.
  const EvidenceSum& evidence(OpId op) const { return evidence_[op.index()]; }
  /// "tensor: heads", "tensor: out_features, experts: experts"; empty where it is not split.
  QString splitText(OpId op) const { return splits_[op.index()]; }
  /// The same without "tensor: " where only the tensor axis splits it.
  QString shortSplit(OpId op) const;
  /// One letter for how the tensor axis splits it, for the graph: the axis' first, "=" replicated.
  QString glyph(OpId op) const;
  QString toolTip(const ShownPlan& shown, OpId op) const;

 private:
  void addStages(const ShownPlan& shown);
  void addTimes(const ShownPlan& shown);
  void addSplits(const ShownPlan& shown);

  std::vector<int32_t> stages_;
  std::vector<Seconds> times_;
  std::vector<EvidenceSum> evidence_;
  std::vector<QString> splits_;
  int64_t stageCount_ = 1;
  Seconds stepTime_;
};

}  // namespace meshplan::gui
