// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace meshplan {

/// One published measurement and what Meshplan says instead.
struct Prediction {
  std::string table;   // the table's name, with a suffix where a table measures several things
  std::string device;  // rows of one device are summed up on their own too; may be empty
  std::string unit;    // what both figures are: "ms", "TFLOP/s", "GiB", "tokens/s"
  double measured = 0, predicted = 0;
  double uncertainty = 0;  // of the prediction: one standard deviation, relative
  bool fitted = false;     // in the half of the rows that a fit may see
  std::string row;         // the line of the table
  std::string problem;     // why there is no prediction; empty: there is one
  /// Rows with the same text are alternatives for one job, of which the one with the least figure
  /// is best; empty: no alternatives.
  std::string choice;

  double error() const { return predicted / measured - 1; }
};

}  // namespace meshplan
