// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

namespace CLI {
class App;
}

namespace meshplan {

/// One subcommand of the command line: made with its options on `parent`, run when it was named.
/// `run` prints data on stdout and messages on stderr, returns the exit code and throws Error.
class Command {
 public:
  explicit Command(CLI::App* app) : app_(app) {}
  virtual ~Command() = default;
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  virtual int run() = 0;

  const CLI::App& app() const { return *app_; }

 private:
  CLI::App* app_;
};

std::unique_ptr<Command> planCommand(CLI::App& parent);
std::unique_ptr<Command> simulateCommand(CLI::App& parent);
std::unique_ptr<Command> runCommand(CLI::App& parent);
std::unique_ptr<Command> compareCommand(CLI::App& parent);
std::unique_ptr<Command> measureCommand(CLI::App& parent);
std::unique_ptr<Command> explainCommand(CLI::App& parent);
std::unique_ptr<Command> inspectCommand(CLI::App& parent);
std::unique_ptr<Command> predictCommand(CLI::App& parent);
std::unique_ptr<Command> modelsCommand(CLI::App& parent);
std::unique_ptr<Command> clustersCommand(CLI::App& parent);
std::unique_ptr<Command> profilesCommand(CLI::App& parent);
std::unique_ptr<Command> doctorCommand(CLI::App& parent);
std::unique_ptr<Command> guiCommand(CLI::App& parent);
std::unique_ptr<Command> renderCommand(CLI::App& parent);
std::unique_ptr<Command> completionCommand(CLI::App& parent);

}  // namespace meshplan
