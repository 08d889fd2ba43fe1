// SPDX-License-Identifier: Apache-2.0
#include "tests/validation/learning.h"

#include <fmt/format.h>

#include <cmath>

#include "tests/validation/statistics.h"

namespace meshplan {
namespace {

using Lessons = std::map<std::string, std::vector<OperatorMeasurement>>;
using Rows = std::vector<const Prediction*>;

const OperatorDef* operatorOf(OpClass opClass) {
  switch (opClass) {
    case OpClass::contraction:
      return findOperatorDef("Linear");
    case OpClass::convolution:
      return findOperatorDef("Conv");
    case OpClass::attention:
      return findOperatorDef("Attention");
    default:
      return nullptr;
  }
}

OperatorMeasurement measurementOf(const OperatorRow& row, const OperatorDef& def,
                                  uint64_t signature) {
  OperatorMeasurement m;
  m.environment = {row.device, "", row.table};
  m.source = {Origin::imported, row.table, 0};
  m.work = row.works.front();
  m.work.def = &def;
  m.work.signature = signature;  // shapes apart that have equal amounts of work
  m.samples = {1, 0, Seconds(row.seconds), {}, Seconds(row.seconds)};
  return m;
}

bool taught(const Prediction& p, const Lessons& lessons, const std::string& table) {
  const auto device = lessons.find(p.device);
  if (device == lessons.end() || !p.fitted || p.table.find(table) == std::string::npos)
    return false;
  for (const OperatorMeasurement& m : device->second)
    if (m.source.text == p.table) return true;
  return false;
}

const char* verdict(const ErrorSummary& before, const ErrorSummary& after) {
  if (std::abs(after.mean - before.mean) < 0.0005) return "the same";
  return after.mean < before.mean ? "better" : "WORSE";
}

}  // namespace

Lessons lessonsOf(const std::vector<OperatorRow>& rows, const std::string& table) {
  Lessons lessons;
  for (const OperatorRow& row : rows) {
    if (!row.fitted || row.slower != 1 || row.works.size() != 1 ||
        row.table.find(table) == std::string::npos)
      continue;
    if (const OperatorDef* def = operatorOf(row.works.front().def->opClass))
      lessons[row.device].push_back(
          measurementOf(row, *def, 1 + static_cast<uint64_t>(&row - rows.data())));
  }
  return lessons;
}

std::string learningText(const std::vector<Prediction>& before,
                         const std::vector<Prediction>& after, const Lessons& lessons,
                         const std::string& table) {
  std::map<std::pair<std::string, std::string>, std::pair<Rows, Rows>> groups;
  for (size_t i = 0; i < before.size(); ++i) {
    const Prediction& p = before[i];
    if (!lessons.count(p.device) || taught(p, lessons, table) || !p.problem.empty()) continue;
    auto& group = groups[{p.device, p.table}];
    group.first.push_back(&p);
    group.second.push_back(&after[i]);
  }
  std::string out = fmt::format("{:<18} {:<44} {:>6} {:>5} {:>7} {:>7} {:>7} {:>7}  {}\n", "device",
                                "table", "taught", "rows", "before", "after", "bias", "after", "");
  for (const auto& [name, group] : groups) {
    const ErrorSummary a = summarise(group.first), b = summarise(group.second);
    out += fmt::format("{:<18} {:<44} {:>6} {:>5} {:>7.1f} {:>7.1f} {:>+7.1f} {:>+7.1f}  {}\n",
                       name.first, name.second, lessons.at(name.first).size(), a.rows, a.mean * 100,
                       b.mean * 100, a.bias * 100, b.bias * 100, verdict(a, b));
  }
  return out;
}

}  // namespace meshplan
