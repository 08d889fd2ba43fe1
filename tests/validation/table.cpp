// SPDX-License-Identifier: Apache-2.0
#include "tests/validation/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/error.h"

namespace meshplan {
namespace {

uint64_t fnv1a(const std::string& text) {
  uint64_t h = 14695981039346656037ull;
  for (unsigned char c : text) h = (h ^ c) * 1099511628211ull;
  return h ^ (h >> 32);
}

std::string trimmed(std::string s) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!s.empty() && blank(s.back())) s.pop_back();
  size_t first = 0;
  while (first < s.size() && blank(s[first])) ++first;
  return s.substr(first);
}

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  for (std::string& cell : cells) cell = trimmed(cell);
  return cells;
}

std::string joined(TableRow::Names names) {
  return fmt::format("{}", fmt::join(names, " or "));
}

}  // namespace

TableRow::TableRow(std::map<std::string, std::string, std::less<>> cells, std::string text,
                   int line)
    : cells_(std::move(cells)), text_(std::move(text)), line_(line) {}

const std::string* TableRow::cell(Names names) const {
  for (std::string_view name : names) {
    const auto at = cells_.find(name);
    if (at != cells_.end() && !at->second.empty()) return &at->second;
  }
  return nullptr;
}

bool TableRow::has(Names names) const {
  return cell(names) != nullptr;
}

const std::string& TableRow::text(Names names) const {
  if (const std::string* c = cell(names)) return *c;
  throw Error(ErrorKind::input, fmt::format("no value for {}", joined(names)))
      .at(fmt::format("line {}", line_));
}

std::string TableRow::textOr(Names names, std::string fallback) const {
  const std::string* c = cell(names);
  return c ? *c : fallback;
}

double TableRow::number(Names names) const {
  const std::string& c = text(names);
  double value = 0;
  const auto [end, error] = std::from_chars(c.data(), c.data() + c.size(), value);
  if (error != std::errc() || end != c.data() + c.size() || !std::isfinite(value))
    throw Error(ErrorKind::input, fmt::format("'{}' is no number", c))
        .at(fmt::format("line {}: {}", line_, joined(names)));
  return value;
}

std::optional<double> TableRow::maybe(Names names) const {
  if (!has(names)) return {};
  return number(names);
}

int64_t TableRow::integer(Names names) const {
  const double value = number(names);
  if (value != std::floor(value) || std::abs(value) > 1e15)
    throw Error(ErrorKind::input, fmt::format("{} is no whole number", value))
        .at(fmt::format("line {}: {}", line_, joined(names)));
  return static_cast<int64_t>(value);
}

int64_t TableRow::integerOr(Names names, int64_t fallback) const {
  return has(names) ? integer(names) : fallback;
}

bool TableRow::fitted() const {
  return fnv1a(text_) % 2 == 0;
}

bool Table::has(TableRow::Names names) const {
  return std::any_of(names.begin(), names.end(), [&](std::string_view n) {
    return std::find(columns.begin(), columns.end(), n) != columns.end();
  });
}

Table readTable(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw Error(ErrorKind::input, "cannot be read", "name a readable file").inFile(path);
  Table table;
  table.path = path;
  table.name = std::filesystem::path(path).stem().string();
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty() || line[0] == '#' || trimmed(line).empty()) continue;
    std::vector<std::string> values = split(line);
    if (table.columns.empty()) {
      table.columns = std::move(values);
      continue;
    }
    std::map<std::string, std::string, std::less<>> cells;
    for (size_t i = 0; i < table.columns.size() && i < values.size(); ++i)
      cells[table.columns[i]] = values[i];
    table.rows.emplace_back(std::move(cells), trimmed(line), number);
  }
  if (table.columns.empty())
    throw Error(ErrorKind::input, "has no columns", "the first line names them").inFile(path);
  return table;
}

}  // namespace meshplan
