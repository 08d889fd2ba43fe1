// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace meshplan {

/// What a command of the built binary printed, and how it ended.
struct CommandResult {
  int exitCode = 0;
  std::string out, err;
};

/// Runs `meshplan ARGUMENTS` through the shell, in the repository root, without a terminal or
/// colours.
CommandResult runMeshplan(const std::string& arguments);

/// Runs a command line of the shell in the same way.
CommandResult runInRepository(const std::string& commandLine);

}  // namespace meshplan
