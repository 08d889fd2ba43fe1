// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "core/import/model_zoo.h"
#include "profiles/load_cluster.h"

namespace meshplan {
namespace {

constexpr const char* kDescription =
    "Prints a completion script for a shell.\n"
    "\n"
    "Examples:\n"
    "  source <(meshplan completion bash)\n"
    "  meshplan completion zsh > ~/.zfunc/_meshplan\n";

// Both shells complete from the same lists: subcommands, options of each, models and clusters.
constexpr const char* kBash = R"(_meshplan() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" options=""
  case "$previous" in
    -c|--cluster) COMPREPLY=($(compgen -W "{clusters}" -- "$word") $(compgen -f -- "$word")); return ;;
    --out|-o|--plan|--trace) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W "{commands} --help --version" -- "$word")); return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}  esac
  if [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  else
    COMPREPLY=($(compgen -W "{models}" -- "$word") $(compgen -f -- "$word"))
  fi
}}
complete -o filenames -F _meshplan meshplan
)";

constexpr const char* kZsh = R"(#compdef meshplan
autoload -U +X bashcompinit && bashcompinit
)";

std::string longOptions(const CLI::App& app) {
  std::string out;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) out += (out.empty() ? "--" : " --") + name;
  for (const CLI::App* sub : app.get_subcommands({}))
    out += " " + sub->get_name() + " " + longOptions(*sub);
  return out;
}

std::string bashScript(const CLI::App& root) {
  std::string commands, cases;
  for (const CLI::App* sub : root.get_subcommands({})) {
    commands += (commands.empty() ? "" : " ") + sub->get_name();
    cases += fmt::format("    {}) options=\"{}\" ;;\n", sub->get_name(), longOptions(*sub));
  }
  std::vector<std::string_view> models;
  for (const ZooEntry& entry : modelZoo()) models.push_back(entry.name);
  std::vector<std::string> clusters = catalogNodeNames();
  for (const std::string& device : catalogDeviceNames()) clusters.push_back("8x" + device);
  return fmt::format(kBash, fmt::arg("commands", commands), fmt::arg("cases", cases),
                     fmt::arg("models", fmt::join(models, " ")),
                     fmt::arg("clusters", fmt::join(clusters, " ")));
}

class CompletionCommand : public Command {
 public:
  CompletionCommand(CLI::App& app, const CLI::App& root) : Command(&app), root_(root) {
    app.add_option("SHELL", shell_, "bash or zsh")->required()->check(oneOf({"bash", "zsh"}));
  }

  int run() override {
    print((shell_ == "zsh" ? kZsh : "") + bashScript(root_));
    return 0;
  }

 private:
  const CLI::App& root_;
  std::string shell_;
};

}  // namespace

std::unique_ptr<Command> completionCommand(CLI::App& parent) {
  return std::make_unique<CompletionCommand>(*parent.add_subcommand("completion", kDescription),
                                             parent);
}

}  // namespace meshplan
