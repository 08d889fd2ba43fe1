// SPDX-License-Identifier: Apache-2.0
// The rules of the house that a compiler does not check: which folder may include which, and what
// every source file has.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace meshplan {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"core", {"core"}},
    {"profiles", {"core", "profiles"}},
    {"planner", {"core", "profiles", "planner"}},
    {"backend", {"core", "profiles", "backend"}},
    {"cli", {"core", "profiles", "planner", "backend", "cli"}},
    {"gui", {"core", "profiles", "planner", "backend", "gui"}},
    {"tests", {"core", "profiles", "planner", "backend", "tests"}},
    {"examples", {"core", "profiles", "planner", "backend", "examples"}},
};
const std::set<std::string> kLibraries = {"core", "profiles", "planner", "backend"};

struct SourceFile {
  std::string path;    // from the repository root
  std::string folder;  // its first component
  bool header = false;
  std::vector<std::string> lines;
};

std::vector<std::string> readLines(const fs::path& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

const std::vector<SourceFile>& sourceFiles() {
  static const std::vector<SourceFile> files = [] {
    std::vector<SourceFile> found;
    const fs::path root = MESHPLAN_SOURCE_DIR;
    for (const auto& [folder, allowed] : kMayInclude) {
      if (!fs::exists(root / folder)) continue;
      for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
        const auto extension = entry.path().extension();
        if (extension != ".h" && extension != ".cpp" && extension != ".cu" && extension != ".cuh")
          continue;
        found.push_back({fs::relative(entry.path(), root).generic_string(), folder,
                         extension == ".h" || extension == ".cuh", readLines(entry.path())});
      }
    }
    std::sort(found.begin(), found.end(),
              [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
    return found;
  }();
  return files;
}

bool anyLine(const std::vector<std::string>& lines, size_t first, const std::regex& pattern) {
  return std::any_of(lines.begin(), lines.begin() + std::min(first, lines.size()),
                     [&](const std::string& line) { return std::regex_search(line, pattern); });
}

/// The folder of our own that an include line names, or "".
std::string includedFolder(const std::string& line) {
  static const std::regex include(R"(^\s*#\s*include\s*["<]([a-z_]+)/)");
  std::smatch match;
  if (!std::regex_search(line, match, include)) return {};
  return kMayInclude.count(match[1]) ? match[1].str() : std::string{};
}

TEST(IncludeRules, TheSourceTreeIsFound) {
  EXPECT_GT(sourceFiles().size(), 50u);
}

TEST(IncludeRules, IncludesFollowTheArrows) {
  for (const SourceFile& file : sourceFiles()) {
    for (size_t i = 0; i < file.lines.size(); ++i) {
      const std::string target = includedFolder(file.lines[i]);
      EXPECT_TRUE(target.empty() || kMayInclude.at(file.folder).count(target))
          << file.path << ":" << i + 1 << ": " << file.folder << " may not include " << target;
    }
  }
}

TEST(IncludeRules, AForbiddenIncludeIsRecognised) {
  EXPECT_EQ(includedFolder("#include \"planner/simulator.h\""), "planner");
  EXPECT_EQ(includedFolder("  # include <cli/table.h>"), "cli");
  EXPECT_EQ(includedFolder("#include <vector>"), "");
  EXPECT_EQ(kMayInclude.at("core").count("planner"), 0u);
}

TEST(IncludeRules, EveryFileStartsWithItsLicence) {
  for (const SourceFile& file : sourceFiles())
    EXPECT_TRUE(!file.lines.empty() && file.lines[0] == "// SPDX-License-Identifier: Apache-2.0")
        << file.path;
}

TEST(IncludeRules, HeadersAreIncludedOnceAndSayWhatTheyAre) {
  const std::regex comment(R"(///|^// [A-Z].{20,})");
  for (const SourceFile& file : sourceFiles()) {
    if (!file.header) continue;
    EXPECT_TRUE(file.lines.size() > 1 && file.lines[1] == "#pragma once") << file.path;
    EXPECT_TRUE(file.folder == "tests" || anyLine(file.lines, 30, comment)) << file.path;
  }
}

TEST(IncludeRules, LibrariesHaveOneOwnerPerObject) {
  const std::regex shared("shared_ptr");
  for (const SourceFile& file : sourceFiles())
    EXPECT_FALSE(kLibraries.count(file.folder) && anyLine(file.lines, file.lines.size(), shared))
        << file.path;
}

TEST(IncludeRules, FilesStayReadable) {
  for (const SourceFile& file : sourceFiles())
    EXPECT_TRUE(file.folder == "tests" || file.lines.size() <= 500)
        << file.path << " has " << file.lines.size() << " lines: split it";
}

}  // namespace
}  // namespace meshplan
