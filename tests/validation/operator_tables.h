// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/work.h"
#include "tests/validation/table.h"

namespace meshplan {

/// A measured time of a table of operators and what took it.
struct OperatorRow {
  std::string table, device;  // the device by its name in the catalogue
  const char* unit = "ms";
  double measured = 0;  // in that unit
  bool rate = false;    // it falls when the time rises
  double seconds = 0;   // the same measurement as a time, over `slower`
  double slower = 1;    // than the works, by the source
  std::vector<OperatorWork> works;
  bool fitted = false;  // in the half that a fit may see
  std::string text, problem;
};

/// Tables of single operators, timed on an idle device that their kernels were queued for, so
/// that the host does not count. One mapping per table, found by its columns.
bool isOperatorTable(const Table& table);

/// Every measurement of such a table; what Meshplan has no device or operator for has a `problem`.
std::vector<OperatorRow> operatorRows(const Table& table);

/// Those that can be predicted, of every such table in the folder. Throws Error(input) when there
/// is none.
std::vector<OperatorRow> readOperatorTables(const std::string& folder);

}  // namespace meshplan
