// SPDX-License-Identifier: Apache-2.0
// Predicts every row of every table of measurements in a folder and prints how far off the
// predictions are. `meshplan-validate DIR [--format table|json] [--rows] [--table NAME] [--learn
// TABLE]`.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "tests/validation/fit.h"
#include "tests/validation/learning.h"
#include "tests/validation/mapping.h"
#include "tests/validation/statistics.h"

namespace meshplan {
namespace {

using nlohmann::ordered_json;
using Rows = std::vector<const Prediction*>;

struct Options {
  std::string folder, format = "table", only, learn;
  std::vector<std::string> settings, free;
  bool rows = false;
};

std::vector<std::string> tablesIn(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed))
    if (entry.path().extension() == ".csv") paths.push_back(entry.path().string());
  if (failed || paths.empty())
    throw Error(ErrorKind::input, failed ? "cannot be read" : "holds no .csv file",
                "give the folder of the tables")
        .inFile(folder);
  std::sort(paths.begin(), paths.end());
  return paths;
}

const Mapping* mappingOf(const Table& table) {
  for (const Mapping& m : mappings())
    if (m.takes(table)) return &m;
  return nullptr;
}

/// "megatron:host_forward=5e-5"
void apply(const std::string& setting, StepPredictor& predictor) {
  const size_t colon = setting.find(':'), equals = setting.find('=');
  char* end = nullptr;
  const double value =
      equals == std::string::npos ? 0 : std::strtod(setting.c_str() + equals + 1, &end);
  if (!end || *end || colon >= equals)
    throw Error(ErrorKind::usage, fmt::format("'{}' sets nothing", setting),
                "write architecture:parameter=value")
        .at("--set");
  predictor.override(setting.substr(0, colon), setting.substr(colon + 1, equals - colon - 1),
                     value);
}

std::vector<Table> readTables(const Options& options) {
  std::vector<Table> tables;
  for (const std::string& path : tablesIn(options.folder)) {
    Table table = readTable(path);
    if (table.name.find(options.only) == std::string::npos) continue;
    if (mappingOf(table))
      tables.push_back(std::move(table));
    else
      fmt::print(stderr, "warning: {}: no mapping knows a table of these columns\n", path);
  }
  return tables;
}

/// A row that cannot be read is a problem of that row alone: the others are predicted one by one.
void predictRowByRow(const Mapping& mapping, const Table& table, StepPredictor& predictor,
                     std::vector<Prediction>& all) {
  for (const TableRow& row : table.rows) {
    Table one = table;
    one.rows = {row};
    const size_t before = all.size();
    try {
      mapping.predict(one, predictor, all);
    } catch (const Error& e) {
      all.resize(before);
      Prediction& p = all.emplace_back();
      p.table = table.name;
      p.row = row.line();
      p.problem = e.what();
    }
  }
}

std::vector<Prediction> predictAll(const std::vector<Table>& tables, StepPredictor& predictor) {
  std::vector<Prediction> all;
  for (const Table& table : tables) {
    const Mapping& mapping = *mappingOf(table);
    const size_t before = all.size();
    try {
      mapping.predict(table, predictor, all);
    } catch (const Error&) {
      all.resize(before);
      predictRowByRow(mapping, table, predictor, all);
    }
  }
  return all;
}

void fitFree(const Options& options, const std::vector<Table>& tables, StepPredictor& predictor) {
  std::vector<FreeParameter> parameters;
  for (const std::string& text : options.free) {
    const size_t colon = text.find(':');
    if (colon == std::string::npos)
      throw Error(ErrorKind::usage, fmt::format("'{}' names no parameter", text),
                  "write architecture:parameter")
          .at("--fit");
    parameters.push_back({text.substr(0, colon), text.substr(colon + 1)});
  }
  if (!parameters.empty())
    fit(predictor, parameters, [&] { return predictAll(tables, predictor); });
}

/// Rows by table; and by table and device where a table has several.
std::vector<std::pair<std::string, Rows>> grouped(const std::vector<Prediction>& all) {
  std::map<std::string, std::map<std::string, Rows>> byDevice;
  for (const Prediction& p : all) byDevice[p.table][p.device].push_back(&p);
  std::vector<std::pair<std::string, Rows>> groups;
  for (const auto& [table, devices] : byDevice) {
    Rows whole;
    for (const auto& [device, rows] : devices) whole.insert(whole.end(), rows.begin(), rows.end());
    groups.emplace_back(table, whole);
    if (devices.size() > 1)
      for (const auto& [device, rows] : devices)
        if (!device.empty()) groups.emplace_back("  " + device, rows);
  }
  return groups;
}

Rows half(const Rows& rows, bool fitted) {
  Rows some;
  for (const Prediction* p : rows)
    if (p->fitted == fitted) some.push_back(p);
  return some;
}

void printTables(const std::vector<Prediction>& all) {
  fmt::print("{:<46} {:>5} {:>6} {:>6} {:>6} {:>6} {:>6} {:>5} {:>6} {:>6} {:>6} {:>6}\n", "table",
             "rows", "MAPE", "median", "p95", "worst", "bias", "tau", "lowest", "inside", "sigma",
             "unseen");
  for (const auto& [name, rows] : grouped(all)) {
    const ErrorSummary s = summarise(rows), unseen = summarise(half(rows, false));
    fmt::print(
        "{:<46} {:>5} {:>6.1f} {:>6.1f} {:>6.1f} {:>6.1f} {:>+6.1f} {:>5.2f} {:>+6.1f} {:>6.0f} "
        "{:>6.1f} {:>6.1f}",
        name, s.rows, s.mean * 100, s.median * 100, s.p95 * 100, s.worst * 100, s.bias * 100, s.tau,
        s.lowest * 100, s.inside * 100, s.sigma * 100, unseen.mean * 100);
    fmt::print("{}\n", s.unpredicted ? fmt::format("  ({} not predicted)", s.unpredicted) : "");
  }
  fmt::print(
      "\nErrors in per cent. inside: share of the rows inside the 90 % interval; sigma: the "
      "uncertainty that\nputs 90 % of them there; unseen: MAPE of the rows that no fit has seen "
      "(by "
      "a hash of the row).\n");
}

void printChoices(const std::vector<Prediction>& all) {
  for (const auto& [name, rows] : grouped(all)) {
    const ChoiceSummary c = summariseChoices(rows);
    if (c.groups == 0 || name.starts_with(' ')) continue;
    fmt::print(
        "\nplan choice, {}: {} groups, best picked in {} ({:.0f} %), regret mean {:.2f} %, "
        "p90 {:.2f} %, concordance {:.3f}\n",
        name, c.groups, c.best, 100.0 * double(c.best) / double(c.groups), c.meanRegret * 100,
        c.p90Regret * 100, c.concordance);
  }
}

void printRows(const std::vector<Prediction>& all) {
  for (const Prediction& p : all) {
    if (p.problem.empty())
      fmt::print("{} {:.4g} {:.4g} {} {:+.1f} % ({:.0f} %) | {}\n", p.table, p.measured,
                 p.predicted, p.unit, p.error() * 100, p.uncertainty * 100, p.row);
    else
      fmt::print("{} NOT PREDICTED {} | {}\n", p.table, p.problem, p.row);
  }
  fmt::print("\n");
}

ordered_json toJson(const ErrorSummary& s) {
  return {{"rows", s.rows},
          {"not_predicted", s.unpredicted},
          {"mape", s.mean},
          {"median", s.median},
          {"p95", s.p95},
          {"worst", s.worst},
          {"bias", s.bias},
          {"lowest", s.lowest},
          {"kendall_tau", s.tau},
          {"sigma", s.sigma},
          {"inside_90_percent_interval", s.inside},
          {"worst_row", s.worstRow}};
}

ordered_json toJson(const ChoiceSummary& c) {
  return {{"groups", c.groups},
          {"best_picked", c.best},
          {"mean_regret", c.meanRegret},
          {"p90_regret", c.p90Regret},
          {"concordance", c.concordance}};
}

ordered_json toJson(const Prediction& p) {
  ordered_json j = {{"row", p.row},
                    {"device", p.device},
                    {"unit", p.unit},
                    {"measured", p.measured},
                    {"fitted", p.fitted}};
  if (!p.problem.empty()) {
    j["problem"] = p.problem;
    return j;
  }
  j["predicted"] = p.predicted;
  j["low"] = p.predicted * std::exp(-1.645 * p.uncertainty);
  j["high"] = p.predicted * std::exp(1.645 * p.uncertainty);
  j["error"] = p.error();
  return j;
}

void printJson(const std::vector<Prediction>& all) {
  ordered_json tables = ordered_json::array();
  for (const auto& [name, rows] : grouped(all)) {
    const bool device = name.starts_with(' ');
    if (device) {
      tables.back()["devices"][name.substr(2)] = toJson(summarise(rows));
      continue;
    }
    ordered_json table = {{"table", name}};
    table.update(toJson(summarise(rows)));
    table["unseen"] = toJson(summarise(half(rows, false)));
    if (const ChoiceSummary c = summariseChoices(rows); c.groups > 0)
      table["plan_choice"] = toJson(c);
    table["predictions"] = ordered_json::array();
    for (const Prediction* p : rows) table["predictions"].push_back(toJson(*p));
    tables.push_back(table);
  }
  fmt::print("{}\n", tables.dump(1));
}

int learn(const Options& options, const std::vector<Table>& tables, StepPredictor& predictor,
          const std::vector<Prediction>& before) {
  const auto lessons = lessonsOf(readOperatorTables(options.folder), options.learn);
  for (const auto& [device, rows] : lessons) predictor.learn(device, rows);
  const std::vector<Prediction> after = predictAll(tables, predictor);
  fmt::print("{}", learningText(before, after, lessons, options.learn));
  return 0;
}

int run(int argc, char** argv) {
  CLI::App app("Compares predictions with published measurements");
  Options options;
  app.add_option("DIR", options.folder, "Folder of .csv tables")->required();
  app.add_option("--format", options.format, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  app.add_flag("--rows", options.rows, "Print every prediction");
  app.add_option("--table", options.only, "Only tables whose name contains this");
  app.add_option("--learn", options.learn,
                 "Predict before and after learning from half of the tables of operators whose "
                 "name contains this, by device")
      ->type_name("TABLE");
  app.add_option("--set", options.settings, "Another value of a device parameter")
      ->type_name("ARCHITECTURE:PARAMETER=VALUE");
  app.add_option("--fit", options.free, "Fit these device parameters to half of the rows first")
      ->type_name("ARCHITECTURE:PARAMETER");
  CLI11_PARSE(app, argc, argv);
  StepPredictor predictor;
  for (const std::string& setting : options.settings) apply(setting, predictor);
  const std::vector<Table> tables = readTables(options);
  fitFree(options, tables, predictor);
  const std::vector<Prediction> all = predictAll(tables, predictor);
  if (!options.learn.empty()) return learn(options, tables, predictor, all);
  if (options.format == "json") {
    printJson(all);
    return 0;
  }
  if (options.rows) printRows(all);
  printTables(all);
  printChoices(all);
  return 0;
}

}  // namespace
}  // namespace meshplan

int main(int argc, char** argv) {
  try {
    return meshplan::run(argc, argv);
  } catch (const meshplan::Error& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return meshplan::exitCode(e.kind());
  }
}
