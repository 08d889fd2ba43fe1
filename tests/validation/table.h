// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace meshplan {

/// One line of a table of measurements; cells are found by the names of their columns, the first
/// name that the table has.
class TableRow {
 public:
  using Names = std::initializer_list<std::string_view>;

  TableRow(std::map<std::string, std::string, std::less<>> cells, std::string text, int line);

  /// An empty cell counts as absent.
  bool has(Names names) const;
  /// Throws Error(input) naming the line and the column when it is absent or no number.
  const std::string& text(Names names) const;
  std::string textOr(Names names, std::string fallback) const;
  double number(Names names) const;
  std::optional<double> maybe(Names names) const;
  int64_t integer(Names names) const;
  int64_t integerOr(Names names, int64_t fallback) const;

  const std::string& line() const { return text_; }
  /// In the half of all rows (by FNV-1a of the line's text) that a fit may see.
  bool fitted() const;

 private:
  const std::string* cell(Names names) const;

  std::map<std::string, std::string, std::less<>> cells_;
  std::string text_;
  int line_;
};

/// A comma-separated table; lines that start with '#' say where it comes from, the next one names
/// the columns. Cells may be quoted.
struct Table {
  std::string name, path;  // the file without its extension; the whole
  std::vector<std::string> columns;
  std::vector<TableRow> rows;

  bool has(TableRow::Names names) const;  // any of them
};

/// Throws Error(input) for a file that cannot be read or has no columns.
Table readTable(const std::string& path);

}  // namespace meshplan
