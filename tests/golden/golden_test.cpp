// SPDX-License-Identifier: Apache-2.0
// Each tests/golden/*.txt holds commands ("$ meshplan ...") with exactly what they print on stdout.
// MESHPLAN_UPDATE_GOLDEN=1 rewrites the files: read the difference before committing it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/run_meshplan.h"

namespace meshplan {
namespace {

namespace fs = std::filesystem;
const std::string kPrompt = "$ meshplan ";

std::vector<std::string> goldenFiles() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(fs::path(MESHPLAN_SOURCE_DIR) / "tests/golden"))
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string readFile(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Runs the commands of the file again; everything else in it is output and comes anew.
std::string replay(const std::string& golden) {
  std::istringstream lines(golden);
  std::string result;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(kPrompt, 0) != 0) continue;
    const CommandResult run = runMeshplan(line.substr(kPrompt.size()));
    EXPECT_EQ(run.exitCode, 0) << line << "\n" << run.err;
    result += line + "\n" + run.out;
  }
  return result;
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, PrintsExactlyThis) {
  const fs::path path = fs::path(MESHPLAN_SOURCE_DIR) / "tests/golden" / (GetParam() + ".txt");
  const std::string expected = readFile(path);
  ASSERT_EQ(expected.rfind(kPrompt, 0), 0u) << "the first line must be a command";
  const std::string actual = replay(expected);
  if (std::getenv("MESHPLAN_UPDATE_GOLDEN")) std::ofstream(path) << actual;
  EXPECT_EQ(actual, expected) << "if this is meant: MESHPLAN_UPDATE_GOLDEN=1";
}

INSTANTIATE_TEST_SUITE_P(Files, Golden, testing::ValuesIn(goldenFiles()),
                         [](const auto& file) { return file.param; });

}  // namespace
}  // namespace meshplan
