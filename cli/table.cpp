// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include <algorithm>
#include <cmath>

namespace meshplan {
namespace {

size_t width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;  // not a UTF-8 continuation
  }));
}

const std::string& cell(const std::vector<std::string>& row, size_t column) {
  static const std::string kEmpty;
  return column < row.size() ? row[column] : kEmpty;
}

std::vector<std::string> titles(const Table& table) {
  std::vector<std::string> out;
  for (const Table::Column& c : table.columns) out.push_back(c.title);
  return out;
}

std::string alignedLine(const Table& table, const std::vector<size_t>& widths,
                        const std::vector<std::string>& row, std::string_view indent) {
  std::string line(indent);
  for (size_t c = 0; c < widths.size(); ++c) {
    const std::string gap(widths[c] - width(cell(row, c)), ' ');
    if (c > 0) line += "  ";
    line += table.columns[c].right ? gap + cell(row, c) : cell(row, c) + gap;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string renderText(const Table& table, std::string_view indent) {
  std::vector<size_t> widths;
  for (size_t c = 0; c < table.columns.size(); ++c) {
    size_t most = width(table.columns[c].title);
    for (const auto& row : table.rows) most = std::max(most, width(cell(row, c)));
    widths.push_back(most);
  }
  std::string out;
  const auto head = titles(table);
  if (std::any_of(head.begin(), head.end(), [](const std::string& t) { return !t.empty(); }))
    out += alignedLine(table, widths, head, indent);
  for (const auto& row : table.rows) out += alignedLine(table, widths, row, indent);
  return out;
}

std::string csvCell(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

std::string csvLine(const Table& table, const std::vector<std::string>& row) {
  std::string line;
  for (size_t c = 0; c < table.columns.size(); ++c)
    line += (c > 0 ? "," : "") + csvCell(cell(row, c));
  return line + "\n";
}

std::string markdownLine(const Table& table, const std::vector<std::string>& row) {
  std::string line = "|";
  for (size_t c = 0; c < table.columns.size(); ++c) {
    line += " ";
    for (char ch : cell(row, c)) line += ch == '|' ? "\\|" : std::string(1, ch);
    line += " |";
  }
  return line + "\n";
}

}  // namespace

std::string render(const Table& table, TableFormat format, std::string_view indent) {
  if (format == TableFormat::text) return renderText(table, indent);
  const auto line = format == TableFormat::csv ? csvLine : markdownLine;
  std::string out = line(table, titles(table));
  if (format == TableFormat::markdown) {
    out += "|";
    for (const Table::Column& c : table.columns) out += c.right ? "---:|" : "---|";
    out += "\n";
  }
  for (const auto& row : table.rows) out += line(table, row);
  return out;
}

std::string bar(double share, int cells) {
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto eighths = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * cells * 8));
  std::string out;
  for (int i = 0; i < eighths / 8; ++i) out += "█";
  return out + kEighths[eighths % 8];
}

std::string wrap(std::string_view text, size_t limit, std::string_view indent) {
  std::string out;
  size_t column = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    if (column > 0 && column + 1 + width(word) > limit) {
      out += "\n" + std::string(indent);
      column = width(indent);
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    out += word;
    column += width(word);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace meshplan
