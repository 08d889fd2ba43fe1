// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/report_json.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "core/import/hf_config.h"
#include "core/import/model_zoo.h"

namespace meshplan {
namespace {

constexpr const char* kDescription =
    "Lists the models that are known by name.\n"
    "\n"
    "Examples:\n"
    "  meshplan models\n"
    "  meshplan models --format json\n";

class ModelsCommand : public Command {
 public:
  explicit ModelsCommand(CLI::App& app) : Command(&app) {
    format_.addTo(app, {"table", "json", "csv", "md"});
  }

  int run() override {
    switch (format_.format()) {
      case Format::json:
        printJson();
        return 0;
      case Format::csv:
        print(render(table(), TableFormat::csv));
        return 0;
      case Format::markdown:
        print(render(table(), TableFormat::markdown));
        return 0;
      case Format::table:
        break;
    }
    print(render(table(), TableFormat::text));
    note(fmt::format("config.json files of these model types are read as well: {}",
                     fmt::join(hfModelTypes(), ", ")));
    return 0;
  }

 private:
  static Table table() {
    Table table{{{"name"}, {"description"}}, {}};
    for (const ZooEntry& entry : modelZoo())
      table.rows.push_back({std::string(entry.name), std::string(entry.description)});
    return table;
  }

  static void printJson() {
    nlohmann::ordered_json out = {{"schema_version", 1},
                                  {"models", nlohmann::ordered_json::array()}};
    for (const ZooEntry& entry : modelZoo())
      out["models"].push_back({{"name", entry.name}, {"description", entry.description}});
    out["config_model_types"] = hfModelTypes();
    print(dumpJson(out));
  }

  FormatArgument format_;
};

}  // namespace

std::unique_ptr<Command> modelsCommand(CLI::App& parent) {
  return std::make_unique<ModelsCommand>(*parent.add_subcommand("models", kDescription));
}

}  // namespace meshplan
