// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/work.h"

namespace meshplan {

/// A measured time of published tables and the operators that took it.
struct Row {
  std::string table, device;  // the device by its name in the catalogue
  std::vector<OperatorWork> works;
  double seconds = 0;
  bool fitted = false;  // in the half that the fit may see
  std::string text;
};

/// Every operator row of the tables in `folder`. Half of the rows, by a hash of their text, are
/// `fitted`. Each table has one mapping, and what its source leaves open is written beside it.
/// Throws Error(input) for a table that is missing.
std::vector<Row> readOperatorTables(const std::string& folder);

}  // namespace meshplan
