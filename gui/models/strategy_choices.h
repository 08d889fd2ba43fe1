// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QString>
#include <vector>

#include "gui/document.h"

namespace meshplan::gui {

/// One value that a control of a strategy can take.
struct StrategyOption {
  QString value, strategy;  // "4"; the whole strategy that results
  bool shown = false;       // the plan's own
};

/// One control: "tp" with 1, 2, 4 and 8.
struct StrategyChoice {
  QString key, name;
  std::vector<StrategyOption> options;
};

/// The strategies that differ from the shown plan's in one choice. Degrees are the divisors of the
/// devices, micro-batches the powers of two that divide the batch.
std::vector<StrategyChoice> strategyChoices(const ShownPlan& shown);

/// What taking an option would do.
struct OptionEffect {
  QString refusal;     // why it cannot be, as the planner says; empty: it can
  QString doesNotFit;  // why, when memory does not suffice
  Seconds stepTime;
  Bytes peakMemory;
  bool possible() const { return refusal.isEmpty(); }
};
/// As slow as planning the strategy.
OptionEffect effectOf(const Document& document, const QString& strategy);

}  // namespace meshplan::gui
