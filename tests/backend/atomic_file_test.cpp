// SPDX-License-Identifier: Apache-2.0
#include "backend/atomic_file.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "core/error.h"
#include "tests/backend/long_tests.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

namespace fs = std::filesystem;

std::string bytesOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

/// What version `n` of the file is: 20 to 820 kB of its number.
std::string contentsOf(int64_t n) {
  std::string text;
  const std::string word = fmt::format("{} ", n);
  while (text.size() < static_cast<size_t>(20'000 + n % 9 * 100'000)) text += word;
  return text;
}

/// Writes version after version, and tells `acknowledged` of each that is committed.
[[noreturn]] void writeForEver(const std::string& path, int64_t first, int acknowledged) {
  for (int64_t n = first;; ++n) {
    const std::string text = contentsOf(n);
    AtomicFile file(path);
    for (size_t at = 0; at < text.size(); at += 40'000) file.write(text.substr(at, 40'000));
    file.commit();
    if (::write(acknowledged, &n, sizeof n) != sizeof n) _exit(1);
  }
}

int64_t lastOf(int pipe) {
  int64_t last = 0;
  for (int64_t n; ::read(pipe, &n, sizeof n) == sizeof n;) last = n;
  return last;
}

/// What five versions take, on a disk that may be slow.
std::chrono::microseconds timeOfFive(const std::string& path) {
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t n = 1; n <= 5; ++n) {
    AtomicFile file(path);
    file.write(contentsOf(n));
    file.commit();
  }
  fs::remove(path);
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() -
                                                               begin);
}

TEST(AtomicFile, AWriterKilledAtAnyMomentLosesNothingItHasCommitted) {
  const ScratchFolder folder;
  const std::string path = folder.file("f");
  const int kills = longTests() ? 1000 : 100;
  const int64_t most = std::min<int64_t>(timeOfFive(path).count() * 2 / 5, 60'000);
  std::mt19937 random(17);
  std::uniform_int_distribution<int64_t> microseconds(0, most);
  int64_t version = 0, leftovers = 0, ahead = 0;
  for (int i = 0; i < kills; ++i) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t writer = fork();
    if (writer == 0) writeForEver(path, version + 1, pipe[1]);
    ::close(pipe[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(microseconds(random)));
    ASSERT_EQ(::kill(writer, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(writer, &status, 0), writer);
    ASSERT_TRUE(WIFSIGNALED(status));
    const int64_t acknowledged = std::max(lastOf(pipe[0]), version);
    ::close(pipe[0]);
    ASSERT_LE(folder.entries(), 2u);
    leftovers += folder.entries() == 2 || (folder.entries() == 1 && !fs::exists(path));
    if (acknowledged == 0 && !fs::exists(path)) continue;
    const std::string found = bytesOf(path);
    version = std::stoll(found);
    ASSERT_EQ(found, contentsOf(version));
    ASSERT_GE(version, acknowledged);
    ASSERT_LE(version, acknowledged + 1);
    ahead += version > acknowledged;
  }
  AtomicFile last(path);
  last.write(contentsOf(++version));
  last.commit();
  EXPECT_EQ(bytesOf(path), contentsOf(version));
  EXPECT_EQ(folder.entries(), 1u);
  EXPECT_GT(version, 1);
  EXPECT_GT(leftovers, kills / 10);
  fmt::print("{} writers killed, {} while writing, {} between rename and return; {} versions\n",
             kills, leftovers, ahead, version);
}

TEST(AtomicFile, LeavesNothingWhenItIsNotCommitted) {
  const ScratchFolder folder;
  folder.write("f", "old");
  { AtomicFile(folder.file("f")).write("new"); }
  EXPECT_EQ(bytesOf(folder.file("f")), "old");
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(AtomicFile, WritersOfTheSameFileDoNotMeet) {
  const ScratchFolder folder;
  const std::string path = folder.file("f");
  AtomicFile first(path), second(path);
  first.write("first");
  second.write("second");
  second.commit();
  EXPECT_EQ(bytesOf(path), "second");
  first.commit();
  EXPECT_EQ(bytesOf(path), "first");
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(AtomicFile, ReplacesWhatALinkNames) {
  const ScratchFolder folder, links;
  const std::string path = folder.write("f", "old"), link = links.file("link");
  fs::create_symlink(path, link);
  AtomicFile file(link);
  file.write("new");
  file.commit();
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(bytesOf(path), "new");
  EXPECT_EQ(links.entries(), 1u);
}

TEST(AtomicFile, IsNoDeviceNorFolderNorPipe) {
  const ScratchFolder folder;
  fs::create_directory(folder.file("folder"));
  ASSERT_EQ(::mkfifo(folder.file("pipe").c_str(), 0600), 0);
  for (const std::string& path :
       {std::string("/dev/null"), folder.file("folder"), folder.file("pipe")}) {
    try {
      AtomicFile file(path);
      FAIL() << path;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::runtime);
      EXPECT_EQ(e.file(), path);
      EXPECT_EQ(e.problem(), "is not a regular file");
    }
  }
  EXPECT_EQ(folder.entries(), 2u);
}

}  // namespace
}  // namespace meshplan
