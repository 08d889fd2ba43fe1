// SPDX-License-Identifier: Apache-2.0
// The rules of the house that a compiler does not check: which folder may include which, and what
// every source file has.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
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
    {"app", {"core", "profiles", "planner", "backend", "app"}},
    {"cli", {"core", "profiles", "planner", "backend", "app", "cli"}},
    {"gui", {"core", "profiles", "planner", "backend", "app", "gui"}},
    {"tests", {"core", "profiles", "planner", "backend", "app", "gui", "tests"}},
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

bool mentions(const SourceFile& file, const std::string& text) {
  return std::any_of(file.lines.begin(), file.lines.end(),
                     [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

/// Says what it is in its first lines: a doc comment, or a sentence.
bool introducesItself(const SourceFile& file) {
  for (size_t i = 1; i < std::min<size_t>(30, file.lines.size()); ++i) {
    const std::string& line = file.lines[i];
    if (line.rfind("///", 0) == 0) return true;
    if (line.rfind("// ", 0) == 0 && line.size() > 25) return true;
  }
  return false;
}

/// The folder of our own that an include line names, or "".
std::string includedFolder(std::string line) {
  line.erase(std::remove(line.begin(), line.end(), ' '), line.end());
  if (line.rfind("#include", 0) != 0 || line.size() < 10) return {};
  const std::string folder = line.substr(9, line.find('/') - 9);
  return kMayInclude.count(folder) ? folder : std::string{};
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
  for (const SourceFile& file : sourceFiles()) {
    if (!file.header) continue;
    EXPECT_TRUE(file.lines.size() > 1 && file.lines[1] == "#pragma once") << file.path;
    EXPECT_TRUE(file.folder == "tests" || introducesItself(file)) << file.path;
  }
}

TEST(IncludeRules, LibrariesHaveOneOwnerPerObject) {
  for (const SourceFile& file : sourceFiles())
    EXPECT_FALSE(kLibraries.count(file.folder) && mentions(file, "shared_ptr")) << file.path;
}

TEST(IncludeRules, FilesStayReadable) {
  for (const SourceFile& file : sourceFiles())
    EXPECT_TRUE(file.folder == "tests" || file.lines.size() <= 500)
        << file.path << " has " << file.lines.size() << " lines: split it";
}

}  // namespace
}  // namespace meshplan
