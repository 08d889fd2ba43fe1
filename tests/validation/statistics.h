// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "tests/validation/prediction.h"

namespace meshplan {

/// Relative errors |predicted / measured - 1| and what else is said of a set of rows, as shares
/// (not per cent).
struct ErrorSummary {
  size_t rows = 0, unpredicted = 0;
  double mean = 0, median = 0, p95 = 0, worst = 0;
  double bias = 0;    // mean signed
  double tau = 0;     // Kendall's tau-b of predicted against measured
  double inside = 0;  // share of the rows inside the 90 % interval
  double lowest = 0;  // the most negative signed error
  double sigma = 0;   // the uncertainty whose 90 % interval holds 90 % of the rows
  std::string worstRow;
};

/// The 90 % interval of a prediction: log-normal, predicted x exp(-+ 1.645 x uncertainty).
bool insideInterval(const Prediction& p);

ErrorSummary summarise(const std::vector<const Prediction*>& rows);

/// How well a planner that picks by prediction is served (Calculon's figures by this definition are
/// in the README). A group is all rows with one `choice`; groups of one row do not count.
struct ChoiceSummary {
  size_t groups = 0, best = 0;           // groups; those in which the measured best was picked
  double meanRegret = 0, p90Regret = 0;  // picked / best - 1, by measurement
  double concordance = 0;                // share of pairs of a group in equal order
};

ChoiceSummary summariseChoices(const std::vector<const Prediction*>& rows);

}  // namespace meshplan
