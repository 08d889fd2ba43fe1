// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "app/human.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/report_json.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "core/import/load_model.h"
#include "planner/model_summary.h"

namespace meshplan {
namespace {

using nlohmann::ordered_json;

constexpr size_t kMostBlocks = 24;  // rows of the table; JSON has all
constexpr const char* kDescription =
    "Says what a model is made of: parameters, work, memory, repeated blocks.\n"
    "\n"
    "Examples:\n"
    "  meshplan inspect llama3-8b --seq 8192\n"
    "  meshplan inspect model.onnx --dim batch=1\n"
    "  meshplan inspect config.json --format json\n";

struct Inspected {
  Model model;
  ModelSummary summary;
};

std::string figures(const Inspected& x) {
  const ModelSummary& s = x.summary;
  Table table{{{""}, {"", true}, {""}}, {}};
  const auto add = [&](const char* name, std::string value, std::string more = {}) {
    table.rows.push_back({name, std::move(value), std::move(more)});
  };
  add("parameters", countText(static_cast<double>(s.parameters)),
      groupedText(static_cast<double>(s.parameters)));
  add("weights", bytesText(s.weights));
  add("forward", flopsText(s.forward), "per sample");
  add("backward", flopsText(s.backward), "per sample");
  add("activations", bytesText(s.activations), "per sample, kept for the backward pass");
  if (x.model.tokensPerSample > 1)
    add("sample", groupedText(static_cast<double>(x.model.tokensPerSample)), "tokens");
  add("operators", groupedText(static_cast<double>(s.operators)));
  return render(table, TableFormat::text, "  ");
}

std::string blocks(const ModelSummary& s) {
  Table table{{{"blocks"}, {"count", true}, {"parameters each", true}, {"work each", true}}, {}};
  for (const auto& b : s.blocks) {
    if (table.rows.size() == kMostBlocks) break;
    table.rows.push_back({b.name, fmt::format("{}", b.count),
                          countText(static_cast<double>(b.parameters)), flopsText(b.flops)});
  }
  std::string out = render(table, TableFormat::text, "  ");
  if (s.blocks.size() > kMostBlocks)
    out += fmt::format("  ... and {} more kinds of block\n", s.blocks.size() - kMostBlocks);
  return out;
}

std::string operators(const std::vector<ModelSummary::OperatorRow>& rows, const char* title) {
  Table table{{{title}, {"kind"}, {"output"}, {"count", true}, {"share", true}}, {}};
  for (const auto& r : rows)
    table.rows.push_back(
        {r.name, r.kind, r.shape, fmt::format("{}", r.count), percentText(r.share)});
  return render(table, TableFormat::text, "  ");
}

ordered_json rowsJson(const std::vector<ModelSummary::OperatorRow>& rows) {
  ordered_json out = ordered_json::array();
  for (const auto& r : rows)
    out.push_back({{"name", r.name},
                   {"kind", r.kind},
                   {"output", r.shape},
                   {"count", r.count},
                   {"flops_per_sample", r.flops.value},
                   {"share", r.share}});
  return out;
}

std::string json(const Inspected& x) {
  const ModelSummary& s = x.summary;
  ordered_json out = {{"schema_version", 1},
                      {"model", x.model.name},
                      {"family", x.model.family},
                      {"parameters", s.parameters},
                      {"weight_bytes", s.weights.value},
                      {"forward_flops_per_sample", s.forward.value},
                      {"backward_flops_per_sample", s.backward.value},
                      {"activation_bytes_per_sample", s.activations.value},
                      {"tokens_per_sample", x.model.tokensPerSample},
                      {"operators", s.operators},
                      {"blocks", ordered_json::array()}};
  for (const auto& b : s.blocks)
    out["blocks"].push_back({{"name", b.name},
                             {"count", b.count},
                             {"parameters", b.parameters},
                             {"flops_per_sample", b.flops.value}});
  out["heaviest_operators"] = rowsJson(s.heaviest);
  out["unknown_operators"] = rowsJson(s.unknown);
  out["warnings"] = x.model.warnings;
  return dumpJson(out);
}

class InspectCommand : public Command {
 public:
  explicit InspectCommand(CLI::App& app) : Command(&app) {
    model_.addTo(app);
    training_.addTo(app);
    app.add_option("--top", top_, "Heaviest operators to show")
        ->type_name("K")
        ->check(countUpTo(100000))
        ->capture_default_str();
    format_.addTo(app, {"table", "json"});
  }

  int run() override {
    Inspected x{loadModel(model_.request()), {}};
    x.summary = summarise(prepareTraining(x.model, training_.options()), static_cast<size_t>(top_));
    for (const std::string& text : x.model.warnings) warn(text);
    print(format_.format() == Format::json ? json(x) : text(x));
    return 0;
  }

 private:
  static std::string text(const Inspected& x) {
    std::string out = fmt::format("{} ({})\n", bold(x.model.name), x.model.family);
    out += figures(x) + "\n" + blocks(x.summary) + "\n" +
           operators(x.summary.heaviest, "heaviest operators");
    if (!x.summary.unknown.empty())
      out += "\n" + operators(x.summary.unknown, "unknown operators, share of memory traffic");
    return out;
  }

  ModelArguments model_;
  TrainingArguments training_;
  FormatArgument format_;
  int top_ = 8;
};

}  // namespace

std::unique_ptr<Command> inspectCommand(CLI::App& parent) {
  return std::make_unique<InspectCommand>(*parent.add_subcommand("inspect", kDescription));
}

}  // namespace meshplan
