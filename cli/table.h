// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace meshplan {

enum class TableFormat { text, csv, markdown };

/// Cells under headings. Cells are UTF-8 of single-width characters; a short row is filled up with
/// empty cells.
struct Table {
  struct Column {
    std::string title;
    bool right = false;  // numbers are aligned right
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
};

/// text: two blanks between columns, no blanks at line ends; csv as RFC 4180; markdown: a pipe
/// table.
std::string render(const Table& table, TableFormat format, std::string_view indent = {});

/// A horizontal bar of `share` of `width` cells, in eighths.
std::string bar(double share, int width);

/// `text` with words moved to new lines of at most `width`, each after the first indented.
std::string wrap(std::string_view text, size_t width, std::string_view indent);

}  // namespace meshplan
