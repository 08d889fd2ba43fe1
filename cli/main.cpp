// SPDX-License-Identifier: Apache-2.0
// The command line: names the subcommands, runs one, and turns errors into messages and exit codes.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "core/error.h"
#include "core/nearest.h"

namespace meshplan {
namespace {

constexpr const char* kDescription =
    "Plans the training of a neural network over many devices, and says why.\n"
    "\n"
    "Examples:\n"
    "  meshplan plan llama3-8b --cluster 8xH100-SXM --global-batch 64 --seq 8192\n"
    "  meshplan plan model.onnx --cluster 2x8xA100-SXM-80GB --dim batch=32 --trace step.json\n"
    "  meshplan simulate gpt2-xl --cluster dgx-a100 --strategy dp=8,zero=1,mbs=4\n"
    "  meshplan inspect config.json\n";

constexpr size_t kOptionColumn = 34;

/// Lists subcommands by the first line of their description; the rest is their own help.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_subcommand(const CLI::App* sub) const override {
    const std::string text = sub->get_description();
    return fmt::format("  {:<12} {}\n", sub->get_name(), text.substr(0, text.find('\n')));
  }

  std::string make_option_desc(const CLI::Option* option) const override {
    return wrap(option->get_description(), 100 - kOptionColumn, "");
  }
};

using Commands = std::vector<std::unique_ptr<Command>>;

std::vector<std::string> optionNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  for (const CLI::App* sub : app.get_subcommands({}))
    for (const std::string& name : optionNames(*sub))
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  return names;
}

[[noreturn]] void refuse(const std::string& kind, const std::string& name,
                         const std::vector<std::string>& known, const std::string& otherwise) {
  const std::vector<std::string_view> views(known.begin(), known.end());
  throw Error(ErrorKind::usage, fmt::format("unknown {} '{}'", kind, name),
              didYouMean(name, views, otherwise));
}

/// Names that nobody declared are refused before parsing, which would take their values for
/// something else.
void checkNames(const Commands& commands, const std::vector<std::string>& arguments) {
  const auto named = std::find_if(arguments.begin(), arguments.end(),
                                  [](const std::string& a) { return a.rfind('-', 0) != 0; });
  if (named == arguments.end()) return;
  std::vector<std::string> subcommands;
  for (const auto& command : commands) {
    subcommands.push_back(command->app().get_name());
    if (subcommands.back() != *named) continue;
    const std::vector<std::string> options = optionNames(command->app());
    for (auto a = named + 1; a != arguments.end(); ++a) {
      const std::string name = a->substr(0, a->find('='));
      if (name.rfind("--", 0) != 0) continue;
      if (std::find(options.begin(), options.end(), name) == options.end())
        refuse("option", name, options,
               fmt::format("`meshplan {} --help` lists the options", *named));
    }
    return;
  }
  refuse("subcommand", *named, subcommands, "`meshplan --help` lists the subcommands");
}

int reportError(const Error& error) {
  clearProgress();
  const std::string& remedy = error.remedy();
  std::string text = error.what();
  if (!remedy.empty()) text.resize(text.size() - remedy.size() - 3);  // " (remedy)"
  fmt::print(stderr, "error: {}\n", text);
  if (!remedy.empty()) fmt::print(stderr, "hint: {}\n", remedy);
  return exitCode(error.kind());
}

int reportParseError(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
  std::string text = error.what();
  text = text.substr(0, text.find('\n'));
  return reportError(Error(ErrorKind::usage, text, "`meshplan --help` shows examples"));
}

int run(int argc, char** argv) {
  CLI::App app(kDescription, "meshplan");
  app.require_subcommand(1);
  app.set_version_flag("--version", "meshplan " MESHPLAN_VERSION);
  app.formatter(std::make_shared<HelpFormatter>());
  app.get_formatter()->column_width(kOptionColumn);
  Commands commands;
  for (auto* make : {planCommand, simulateCommand, runCommand, compareCommand, measureCommand,
                     profilesCommand, predictCommand, explainCommand, inspectCommand, modelsCommand,
                     clustersCommand, doctorCommand, guiCommand, renderCommand, completionCommand})
    commands.push_back(make(app));
  try {
    checkNames(commands, {argv + 1, argv + argc});
    app.parse(argc, argv);
    for (const auto& command : commands)
      if (command->app().parsed()) return command->run();
  } catch (const CLI::ParseError& error) {
    return reportParseError(app, error);
  }
  return 0;
}

}  // namespace
}  // namespace meshplan

int main(int argc, char** argv) {
  using meshplan::Error, meshplan::ErrorKind;
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of that file
  try {
    return meshplan::run(argc, argv);
  } catch (const Error& error) {
    return meshplan::reportError(error);
  } catch (const std::bad_alloc&) {
    return meshplan::reportError(
        Error(ErrorKind::runtime, "out of memory", "plan a smaller model or cluster"));
  } catch (const std::exception& error) {
    return meshplan::reportError(
        Error(ErrorKind::internal, error.what(), "please report this as a bug"));
  }
}
