// SPDX-License-Identifier: Apache-2.0
#include "cli/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/human.h"
#include "cli/report_json.h"
#include "cli/terminal.h"

namespace meshplan {
namespace {

constexpr int kBarWidth = 24;

Table humanTable(const std::vector<PlanReport>& reports, const Planning& planning) {
  const bool tokens = planning.training().tokensPerSample > 1;
  Table table{{{"", true},
               {"plan"},
               {"strategy"},
               {"step", true},
               {tokens ? "tokens/s" : "samples/s", true},
               {"TFLOP/s", true},
               {"MFU", true},
               {"memory", true},
               {"times"},
               {""}},
              {}};
  const bool analytic = std::all_of(reports.begin(), reports.end(), [](const PlanReport& r) {
    return !r.evidence.measuredAtAll();
  });
  for (size_t i = 0; i < reports.size(); ++i) {
    const PlanReport& r = reports[i];
    const std::string number = reports.size() > 1 ? fmt::format("{}", i + 1) : std::string();
    table.rows.push_back({number, r.label, shortStrategy(r), secondsText(r.stepTime),
                          groupedText(tokens ? r.tokensPerSecond : r.samplesPerSecond),
                          fmt::format("{:.1f}", r.tflopsPerDevice), percentText(r.mfu),
                          bytesText(r.peakMemory),
                          analytic ? "" : std::string(provenanceName(r.provenance)),
                          r.feasible ? "" : "does not fit"});
  }
  return table;
}

Table rawTable(const std::vector<PlanReport>& reports) {
  Table table{{{"label"},
               {"strategy"},
               {"feasible"},
               {"step_time_seconds", true},
               {"samples_per_second", true},
               {"tokens_per_second", true},
               {"tflops_per_device", true},
               {"mfu", true},
               {"peak_memory_bytes", true}},
              {}};
  for (const PlanReport& r : reports)
    table.rows.push_back(
        {r.label, r.strategy, r.feasible ? "true" : "false",
         fmt::format("{:.9g}", r.stepTime.value), fmt::format("{:.6g}", r.samplesPerSecond),
         fmt::format("{:.6g}", r.tokensPerSecond), fmt::format("{:.6g}", r.tflopsPerDevice),
         fmt::format("{:.6g}", r.mfu), fmt::format("{}", r.peakMemory.value)});
  return table;
}

/// Drops a column whose cells are all empty.
void dropEmptyColumns(Table& table) {
  for (size_t c = table.columns.size(); c-- > 0;) {
    const bool empty = std::all_of(table.rows.begin(), table.rows.end(),
                                   [&](const auto& row) { return row[c].empty(); });
    if (!empty) continue;
    table.columns.erase(table.columns.begin() + static_cast<ptrdiff_t>(c));
    for (auto& row : table.rows) row.erase(row.begin() + static_cast<ptrdiff_t>(c));
  }
}

Table shareTable() {
  return {{{""}, {"", true}, {"", true}, {""}}, {}};
}

void addShare(Table& table, std::string name, std::string value, double share) {
  table.rows.push_back(
      {std::move(name), std::move(value), percentText(share), bar(share, kBarWidth)});
}

Table timeTable(const PlanReport& r) {
  const TimeByCategory& t = r.timeByCategory;
  Table table = shareTable();
  const auto add = [&](const char* name, Seconds s) {
    addShare(table, name, secondsText(s), s / r.stepTime);
  };
  add("compute", t.compute);
  if (t.recompute.value > 0) add("  of which recomputation", t.recompute);
  add("exposed communication", t.exposedCommunication);
  add("bubble", t.bubble);
  add("optimizer", t.optimizer);
  return table;
}

Table memoryTable(const PlanReport& r, Bytes limit) {
  Table table = shareTable();
  for (int c = 0; c < kMemoryCategories; ++c) {
    const Bytes bytes = r.memoryByCategory[static_cast<size_t>(c)];
    if (bytes.value > 0)
      addShare(table, std::string(memoryCategoryName(MemoryCategory(c))), bytesText(bytes),
               bytes / limit);
  }
  addShare(table, "together", bytesText(r.peakMemory), r.peakMemory / limit);
  return table;
}

std::string stageText(const PlanReport& r, size_t stage) {
  return r.plan.mesh.pipeline > 1 ? fmt::format(", stage {}", stage) : std::string();
}

std::string provenanceText(const PlanReport& r) {
  const StepEvidence& e = r.evidence;
  std::string parts;
  if (e.measuredAtAll())
    parts = fmt::format(" ({} of the time measured, {} interpolated, {} analytic)",
                        percentText(e.share(Provenance::measured)),
                        percentText(e.share(Provenance::interpolated)),
                        percentText(e.share(Provenance::analytic)));
  return fmt::format("Times are {}{}, uncertain by about {:.0f} % of the step (one sigma).\n",
                     provenanceName(r.provenance), parts, 100 * r.uncertainty);
}

std::string section(const std::string& title) {
  return "\n" + bold(title) + "\n";
}

}  // namespace

std::string planningHeading(const Planning& planning, int64_t globalBatch) {
  const TrainingModel& model = planning.training();
  const Cluster& cluster = planning.cluster();
  const std::string sequence =
      model.tokensPerSample > 1 ? fmt::format("sequence {}, ", model.tokensPerSample) : "";
  return fmt::format(
      "{} ({} parameters) on {} ({} devices, {})\n"
      "global batch {}, {}{}, {}, {} per device\n",
      bold(planning.modelName()), countText(static_cast<double>(model.graph.parameterCount())),
      bold(cluster.name), cluster.deviceCount(),
      cluster.nodeCount() == 1 ? "1 node" : fmt::format("{} nodes", cluster.nodeCount()),
      globalBatch, sequence, precisionName(model.options.precision),
      optimizerName(model.options.optimizer), bytesText(planning.context().memoryLimit));
}

Table reportTable(const std::vector<PlanReport>& reports, const Planning& planning, bool raw) {
  if (raw) return rawTable(reports);
  Table table = humanTable(reports, planning);
  dropEmptyColumns(table);
  return table;
}

std::string breakdownText(const PlanReport& r, const Planning& planning) {
  const Bytes limit = planning.context().memoryLimit;
  return section(fmt::format("Where the {} of a step go{}", secondsText(r.stepTime),
                             stageText(r, r.slowestStage))) +
         render(timeTable(r), TableFormat::text, "  ") +
         section(fmt::format("Memory of the fullest device{} (of {})", stageText(r, r.peakStage),
                             bytesText(limit))) +
         render(memoryTable(r, limit), TableFormat::text, "  ") +
         fmt::format("  the peak is at {}\n", r.peakOwner);
}

std::string nearestMissRemedy(const PlanReport& miss, const Planning& planning) {
  const Bytes limit = planning.context().memoryLimit;
  return fmt::format(
      "the nearest miss is {}: it needs {}, {} more than the limit of {}; devices with that much "
      "memory, more devices, or a smaller --global-batch or --seq would make it fit",
      shortStrategy(miss), bytesText(miss.peakMemory), bytesText(miss.peakMemory - limit),
      bytesText(limit));
}

std::string searchText(const SearchResult& result, const Planning& planning,
                       const SearchOptions& options, Format format) {
  if (format == Format::json) return searchJson(result, planning, options);
  std::vector<PlanReport> all = result.plans;
  all.insert(all.end(), result.baselines.begin(), result.baselines.end());
  if (format == Format::csv) return render(reportTable(all, planning, true), TableFormat::csv);
  if (format == Format::markdown)
    return render(reportTable(all, planning, false), TableFormat::markdown);
  std::string out = planningHeading(planning, options.globalBatch);
  if (!result.plans.empty())
    out += section("Plans, best first") +
           render(reportTable(result.plans, planning, false), TableFormat::text, "  ");
  if (!result.baselines.empty())
    out += section("What one would try first") +
           render(reportTable(result.baselines, planning, false), TableFormat::text, "  ");
  if (result.plans.empty()) return out;
  return out + breakdownText(result.plans.front(), planning) + "\n" +
         provenanceText(result.plans.front());
}

std::string simulationText(const PlanReport& report, const Planning& planning, Format format) {
  if (format == Format::json) return simulationJson(report, planning);
  const bool raw = format == Format::csv;
  const Table table = reportTable({report}, planning, raw);
  if (format == Format::csv) return render(table, TableFormat::csv);
  if (format == Format::markdown) return render(table, TableFormat::markdown);
  return planningHeading(planning, report.plan.globalBatch) + "\n" +
         render(table, TableFormat::text, "  ") + breakdownText(report, planning) + "\n" +
         provenanceText(report);
}

}  // namespace meshplan
