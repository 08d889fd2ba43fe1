// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QString>
#include <vector>

#include "gui/document.h"

namespace meshplan::gui {

/// One value that a control of a strategy can take. `reason` says why it cannot be taken with what
/// else the shown plan has; empty: it can, or that is not known yet.
struct StrategyOption {
  QString value, strategy;  // "4"; the whole strategy that results
  QString reason;
  bool shown = false;  // the plan's own
};

/// One control: "tp" with 1, 2, 4 and 8.
struct StrategyChoice {
  QString key, name;
  std::vector<StrategyOption> options;
};

/// The strategies that differ from the shown plan's in one choice. Degrees are the divisors of the
/// devices, micro-batches the powers of two that divide the batch.
std::vector<StrategyChoice> strategyChoices(const ShownPlan& shown);

/// Why the strategy cannot be, as the planner says; empty when it can. As slow as planning it.
QString refusal(const Document& document, const QString& strategy);

}  // namespace meshplan::gui
