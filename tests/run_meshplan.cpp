// SPDX-License-Identifier: Apache-2.0
#include "tests/run_meshplan.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace meshplan {
namespace {

std::string readFile(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

CommandResult runInRepository(const std::string& commandLine) {
  const auto base =
      std::filesystem::path(testing::TempDir()) / fmt::format("meshplan-{}", getpid());
  const std::string out = base.string() + ".out", err = base.string() + ".err";
  const std::string command = fmt::format(
      "cd '{}' && export NO_COLOR=1 MESHPLAN_PROFILES=${{MESHPLAN_PROFILES:-none}} && {} >'{}' "
      "2>'{}' </dev/null",
      MESHPLAN_SOURCE_DIR, commandLine, out, err);
  const int status = std::system(command.c_str());
  CommandResult result{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                       readFile(out), readFile(err)};
  std::filesystem::remove(out);
  std::filesystem::remove(err);
  return result;
}

CommandResult runMeshplan(const std::string& arguments) {
  return runInRepository(fmt::format("'{}/cli/meshplan' {}", MESHPLAN_BINARY_DIR, arguments));
}

std::vector<double> lossesOf(const std::string& output) {
  std::vector<double> all;
  const auto document = nlohmann::json::parse(output, nullptr, false);
  if (document.is_discarded()) return all;
  for (const auto& step : document.at("steps")) all.push_back(step.at("loss"));
  return all;
}

}  // namespace meshplan
