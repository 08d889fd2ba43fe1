// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace meshplan {

/// What a command of the built binary printed, and how it ended.
struct CommandResult {
  int exitCode = 0;
  std::string out, err;
};

/// Runs `meshplan ARGUMENTS` through the shell, in the repository root, without a terminal or
/// colours.
CommandResult runMeshplan(const std::string& arguments);

/// The losses of the steps in what `meshplan run --format json` printed; none in other texts.
std::vector<double> lossesOf(const std::string& output);

/// Runs a command line of the shell in the same way.
CommandResult runInRepository(const std::string& commandLine);

}  // namespace meshplan
