// SPDX-License-Identifier: Apache-2.0
#include "cli/comparison_report.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "app/human.h"
#include "app/run_prediction.h"
#include "cli/report_json.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "core/instruction_names.h"

namespace meshplan {
namespace {

using nlohmann::ordered_json;

/// One line of any table: what, how often, predicted beside measured.
struct Line {
  std::string section, name, detail;
  int64_t calls = 1;
  Compared time;
  double share = 0;
  std::string provenance;
};

std::string errorText(const Compared& c) {
  const double error = c.relativeError();
  return std::isfinite(error) ? fmt::format("{:+.1f} %", 100 * error) : "";
}

std::string collectiveText(const ComparedCollective& c) {
  if (c.kind == Instruction::Kind::send) return "send";
  if (c.kind == Instruction::Kind::receive) return "receive";
  return fmt::format("{} {}", collectiveName(c.collective), axesText(c.axes));
}

std::vector<Line> operatorLines(const Comparison& c, size_t top) {
  std::vector<Line> lines;
  for (const ComparedOperator& o : c.diff.byOperator) {
    if (lines.size() == top) break;
    const auto found = c.operatorProvenance.find({o.op, o.phase});
    lines.push_back({"operator", o.name, o.phase, o.calls, o.time, o.share,
                     found == c.operatorProvenance.end() ? "" : found->second});
  }
  return lines;
}

std::vector<Line> collectiveLines(const Comparison& c, size_t top) {
  std::vector<Line> lines;
  for (size_t i = 0; i < c.diff.byCollective.size() && i < top; ++i) {
    const ComparedCollective& k = c.diff.byCollective[i];
    lines.push_back({"collective", collectiveText(k), bytesText(k.bytes), k.calls, k.time, k.share,
                     c.collectiveProvenance[i]});
  }
  return lines;
}

std::vector<Line> stageLines(const Comparison& c) {
  std::vector<Line> lines;
  for (const ComparedStage& s : c.diff.byStage) {
    const std::string name = fmt::format("stage {}", c.program.rankClasses[s.rankClass].stage);
    const auto add = [&](const char* what, const Compared& time) {
      lines.push_back({"stage", name, what, 1, time, s.share, c.run.provenance});
    };
    add("compute", s.compute);
    add("optimizer", s.optimizer);
    add("exposed communication", s.exposedCommunication);
    add("bubble", s.bubble);
  }
  return lines;
}

Table tableOf(const std::vector<Line>& lines, const std::string& title) {
  Table table{{{title},
               {""},
               {"calls", true},
               {"predicted", true},
               {"measured", true},
               {"error", true},
               {"share", true},
               {"times"}},
              {}};
  for (const Line& l : lines)
    table.rows.push_back({l.name, l.detail, fmt::format("{}", l.calls),
                          secondsText(l.time.predicted), secondsText(l.time.measured),
                          errorText(l.time), percentText(l.share), l.provenance});
  return table;
}

Table memoryTable(const Comparison& c) {
  Table table{{{"memory"}, {""}, {"predicted", true}, {"arena", true}}, {}};
  for (const ComparedMemory& m : c.diff.byMemory)
    table.rows.push_back({fmt::format("stage {}", c.program.rankClasses[m.rankClass].stage),
                          std::string(memoryCategoryName(m.category)), bytesText(m.predicted),
                          bytesText(m.measured)});
  return table;
}

std::string heading(const Comparison& c) {
  const RunMeasurement& run = c.run;
  std::string text = fmt::format("Run {}: {} on {} rank{} ({}), {}\n", run.id, run.model, run.ranks,
                                 run.ranks == 1 ? "" : "s", run.transport, run.strategy);
  const PredictedStep predicted = predictedStep(run);
  text += fmt::format("step: {}; {} the interval\n", predictionLine(run),
                      predicted.holds(run.step.median) ? "inside" : "outside");
  text += fmt::format("measured over {} steps after {} to warm up, spread {}; {}\n", run.step.count,
                      run.steps - run.step.count, secondsText(run.step.spread),
                      c.again ? "predicted with what is known now" : "predicted before the run");
  text += fmt::format("arena of the fullest rank: planned {}, used {}\n",
                      bytesText(run.plannedPeak), bytesText(run.measuredPeak));
  return text;
}

std::string tables(const Comparison& c, size_t top, TableFormat format) {
  std::string text;
  for (const Table& t :
       {tableOf(stageLines(c), "stages"), tableOf(operatorLines(c, top), "operators"),
        tableOf(collectiveLines(c, top), "collectives"), memoryTable(c)})
    if (!t.rows.empty()) text += "\n" + render(t, format);
  return text;
}

std::string csv(const Comparison& c, size_t top) {
  Table table{{{"section"},
               {"name"},
               {"detail"},
               {"calls"},
               {"predicted_seconds"},
               {"measured_seconds"},
               {"relative_error"},
               {"share"},
               {"provenance"}},
              {}};
  std::vector<Line> lines{{"step", "step", "", 1, c.diff.step, 1, c.run.provenance}};
  for (const auto& more : {stageLines(c), operatorLines(c, top), collectiveLines(c, top)})
    lines.insert(lines.end(), more.begin(), more.end());
  for (const Line& l : lines) {
    const double error = l.time.relativeError();
    table.rows.push_back({l.section, l.name, l.detail, fmt::format("{}", l.calls),
                          fmt::format("{}", l.time.predicted.value),
                          fmt::format("{}", l.time.measured.value),
                          std::isfinite(error) ? fmt::format("{}", error) : "",
                          fmt::format("{}", l.share), l.provenance});
  }
  return render(table, TableFormat::csv);
}

ordered_json timesJson(const Compared& c) {
  const double error = c.relativeError();
  ordered_json out = {{"predicted_seconds", c.predicted.value},
                      {"measured_seconds", c.measured.value},
                      {"relative_error", nullptr}};
  if (std::isfinite(error)) out["relative_error"] = error;
  return out;
}

ordered_json linesJson(const std::vector<Line>& lines, const char* detail) {
  ordered_json out = ordered_json::array();
  for (const Line& l : lines) {
    ordered_json row = {{"name", l.name}, {detail, l.detail}, {"calls", l.calls}};
    row.update(timesJson(l.time));
    row["share"] = l.share;
    row["provenance"] = l.provenance;
    out.push_back(std::move(row));
  }
  return out;
}

ordered_json stagesJson(const Comparison& c) {
  ordered_json out = ordered_json::array();
  for (const ComparedStage& s : c.diff.byStage)
    out.push_back({{"stage", c.program.rankClasses[s.rankClass].stage},
                   {"busy", timesJson(s.busy)},
                   {"compute", timesJson(s.compute)},
                   {"optimizer", timesJson(s.optimizer)},
                   {"exposed_communication", timesJson(s.exposedCommunication)},
                   {"bubble", timesJson(s.bubble)},
                   {"recomputation_in_compute", timesJson(s.recompute)},
                   {"communication_hidden_or_not", timesJson(s.communication)},
                   {"share", s.share}});
  return out;
}

ordered_json stepJson(const Comparison& c) {
  const PredictedStep predicted = predictedStep(c.run);
  ordered_json step = timesJson(c.diff.step);
  step["interval_seconds"] = {predicted.low.value, predicted.high.value};
  step["inside_interval"] = predicted.holds(c.run.step.median);
  step["provenance"] = c.run.provenance;
  step["samples"] = c.run.step.count;
  step["spread_seconds"] = c.run.step.spread.value;
  step["warm_up_steps"] = c.run.steps - c.run.step.count;
  step["profiling_overhead"] = c.run.profilingOverhead;
  return step;
}

ordered_json memoryJson(const Comparison& c) {
  ordered_json out = ordered_json::array();
  for (const ComparedMemory& m : c.diff.byMemory)
    out.push_back({{"stage", c.program.rankClasses[m.rankClass].stage},
                   {"category", memoryCategoryName(m.category)},
                   {"predicted_bytes", m.predicted.value},
                   {"arena_bytes", m.measured.value}});
  return out;
}

std::string json(const Comparison& c, size_t top) {
  ordered_json out =
      documentHead(*c.planning, planFromJson(c.run.planJson, "run").plan.globalBatch);
  out["run"] = c.run.id;
  out["strategy"] = c.run.strategy;
  out["ranks"] = c.run.ranks;
  out["transport"] = c.run.transport;
  out["predicted_again"] = c.again;
  out["step"] = stepJson(c);
  out["stages"] = stagesJson(c);
  out["operators"] = linesJson(operatorLines(c, top), "phase");
  out["collectives"] = linesJson(collectiveLines(c, top), "size");
  for (size_t i = 0; i < out["collectives"].size(); ++i)
    out["collectives"][i]["bytes"] = c.diff.byCollective[i].bytes.value;
  out["peak_memory"] = {{"planned_bytes", c.run.plannedPeak.value},
                        {"measured_bytes", c.run.measuredPeak.value}};
  out["memory"] = memoryJson(c);
  return dumpJson(out);
}

}  // namespace

std::string comparisonText(const Comparison& c, size_t top, Format format) {
  switch (format) {
    case Format::json:
      return json(c, top);
    case Format::csv:
      return csv(c, top);
    case Format::markdown:
      return heading(c) + tables(c, top, TableFormat::markdown);
    case Format::table:
      break;
  }
  return heading(c) + tables(c, top, TableFormat::text);
}

}  // namespace meshplan
