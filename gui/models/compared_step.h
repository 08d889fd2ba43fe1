// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QString>
#include <memory>

#include "gui/document.h"
#include "gui/models/time_evidence.h"

namespace meshplan::gui {

/// A step to hold against another: as a plan is simulated, or as a run was predicted or measured.
/// `owner` keeps the rest alive; what is made from parts is the caller's.
struct ComparedStep {
  QString name;
  std::shared_ptr<const void> owner;
  const ShownPlan* plan = nullptr;  // of a plan
  const Comparison* run = nullptr;  // of a run
  bool measured = false;
  const Program* program = nullptr;
  const Graph* graph = nullptr;
  size_t forwardOps = 0;
  const Timeline* timeline = nullptr;

  explicit operator bool() const { return timeline != nullptr; }
  /// Whose times these are; nothing is known of measured ones.
  EvidenceTable evidence() const;
  /// The rank class that computes longest.
  size_t slowestStage() const;
};

ComparedStep stepOf(std::shared_ptr<const ShownPlan> plan, const QString& name);
ComparedStep stepOf(std::shared_ptr<const Comparison> run, bool measured);

/// Whether operators of both have the same ids: graphs of the same structure. Linear in the graphs
/// where they are not one and the same.
bool sameModel(const ComparedStep& a, const ComparedStep& b);
/// Whether both did the same instructions in the same calls, so that each has a twin.
bool sameProgram(const Program& a, const Program& b);

}  // namespace meshplan::gui
