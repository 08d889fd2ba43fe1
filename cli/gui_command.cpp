// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "cli/command.h"
#include "core/error.h"

namespace meshplan {
namespace {

constexpr const char* kDescription =
    "Opens the desktop app: the model, the placement, the timeline, and what would change them.\n"
    "\n"
    "Examples:\n"
    "  meshplan gui\n"
    "  meshplan gui llama3-70b -c 64xH100-SXM\n"
    "  meshplan gui plan.json\n";

/// Beside this program, as installed, or in the build tree.
std::filesystem::path guiProgram() {
  const auto own = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  for (const char* place : {"meshplan-gui", "../gui/meshplan-gui"})
    if (std::filesystem::exists(own / place)) return own / place;
  throw Error(ErrorKind::usage, "this Meshplan was built without the desktop app",
              "build it where Qt 6 (qt6-base-dev, qt6-charts-dev, qt6-svg-dev) and Graphviz "
              "(libgraphviz-dev) are installed");
}

/// Becomes that program. Words that are empty are left out with the option before them.
int become(const std::string& program,
           const std::vector<std::pair<std::string, std::string>>& options) {
  std::vector<std::string> words{program};
  for (const auto& [option, value] : options) {
    if (value.empty()) continue;
    if (!option.empty()) words.push_back(option);
    words.push_back(value);
  }
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(program.c_str(), arguments.data());
  throw Error(ErrorKind::runtime, fmt::format("{} does not start", program));
}

class GuiCommand : public Command {
 public:
  explicit GuiCommand(CLI::App& app) : Command(&app) {
    app.add_option(
           "FILE", file_,
           "A model, plan, cluster, session, timeline or profile store to open; without it, "
           "what was open last")
        ->type_name("FILE");
    app.add_option("-c,--cluster", cluster_, "The cluster to plan a model for")
        ->type_name("CLUSTER");
  }

  int run() override { return become(guiProgram(), {{"--cluster", cluster_}, {"", file_}}); }

 private:
  std::string file_, cluster_;
};

constexpr const char* kRenderDescription =
    "Draws a view of the desktop app into a .png, .svg or .pdf, without a display, or writes the\n"
    "table of plans, memory, model or compare as .csv or .md.\n"
    "\n"
    "Examples:\n"
    "  meshplan render timeline plan.json -o timeline.svg\n"
    "  meshplan render placement llama3-70b -c 64xH100-SXM -o placement.png\n"
    "  meshplan render plans llama3-70b -c 64xH100-SXM -o plans.csv\n"
    "  meshplan render compare plan.json --with tp=8,pp=2 -o compare.png\n";

class RenderCommand : public Command {
 public:
  explicit RenderCommand(CLI::App& app) : Command(&app) {
    app.add_option("VIEW", view_, "timeline, placement, stages, memory, model, plans or compare")
        ->required();
    app.add_option("FILE", file_, "A plan, or a model whose best plan is drawn")
        ->type_name("FILE")
        ->required();
    app.add_option("-o,--out", out_, "The picture (.png, .svg or .pdf) or table (.csv or .md)")
        ->type_name("FILE")
        ->required();
    app.add_option(
           "--with", with_,
           "What compare holds it against: a plan file, a strategy, or `last` or the number "
           "of a run, then prediction and measurement of that run")
        ->type_name("OTHER");
    app.add_option("-c,--cluster", cluster_, "The cluster to plan a model for")
        ->type_name("CLUSTER");
    app.add_option("-b,--global-batch", batch_, "Samples of a step")->type_name("N");
    app.add_option("--size", size_, "Pixels; by default what the view needs")
        ->type_name("WIDTHxHEIGHT");
  }

  int run() override {
    return become(guiProgram(), {{"--render", view_},
                                 {"--with", with_},
                                 {"--out", out_},
                                 {"--size", size_},
                                 {"--cluster", cluster_},
                                 {"--global-batch", batch_},
                                 {"", file_}});
  }

 private:
  std::string view_, file_, with_, out_, cluster_, batch_, size_;
};

}  // namespace

std::unique_ptr<Command> guiCommand(CLI::App& parent) {
  return std::make_unique<GuiCommand>(*parent.add_subcommand("gui", kDescription));
}

std::unique_ptr<Command> renderCommand(CLI::App& parent) {
  return std::make_unique<RenderCommand>(*parent.add_subcommand("render", kRenderDescription));
}

}  // namespace meshplan
