// SPDX-License-Identifier: Apache-2.0
// A disk that fails costs neither the training nor the last good checkpoint.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "backend/safetensors.h"
#include "tests/backend/long_tests.h"
#include "tests/child_process.h"
#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kModel =
    "gpt --set layers=1,hidden=32,heads=2,vocab=64,seq=8 -b 2 --threads 1";

std::string bytesOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

int64_t stepOf(const std::string& path) {
  return std::stoll(SafetensorsFile(path).metadata().at("step"));
}

/// Messages are wrapped to the line.
std::string unwrapped(std::string text) {
  for (size_t at; (at = text.find("\n  ")) != std::string::npos;) text.replace(at, 3, " ");
  return text;
}

int64_t linesOf(const std::string& path) {
  const std::string text = bytesOf(path);
  return std::count(text.begin(), text.end(), '\n');
}

/// A checkpoint of one step, alone in a folder.
class FailingDisk : public testing::Test {
 protected:
  void SetUp() override {
    const CommandResult first =
        runMeshplan(fmt::format("run {} --steps 1 --checkpoint {}", kModel, file_));
    ASSERT_EQ(first.exitCode, 0) << first.err;
    old_ = bytesOf(file_);
  }
  std::string resume(const std::string& steps) const {
    return fmt::format("'{}/cli/meshplan' run {} --resume {} --checkpoint {} --steps {}",
                       MESHPLAN_BINARY_DIR, kModel, file_, file_, steps);
  }
  /// Resumes with the disk failing at one call, or from it on.
  CommandResult resumeFailing(int64_t call, int error, int64_t count, const std::string& more) {
    fs::remove(log_);
    return runInRepository(
        fmt::format("env LD_PRELOAD={}/tests/libfailing_files.so FAILING_FOLDER={} FAILING_CALL={} "
                    "FAILING_ERROR={} FAILING_COUNT={} FAILING_LOG={} {}",
                    MESHPLAN_BINARY_DIR, folder_.file(""), call, error, count, log_, resume(more)));
  }
  void restore() const { folder_.write("c", old_); }
  void expectResumes(int64_t step) {
    EXPECT_EQ(stepOf(file_), step);
    const CommandResult next = runInRepository(resume("1"));
    EXPECT_EQ(next.exitCode, 0) << next.err;
    EXPECT_EQ(stepOf(file_), step + 1);
  }

  ScratchFolder folder_, prints_;
  const std::string file_ = folder_.file("c"), log_ = prints_.file("log");
  std::string old_;
};

TEST_F(FailingDisk, ACallThatFailsOnceCostsNothing) {
  const std::vector<int> errors = longTests() ? std::vector{EIO, ENOSPC, EDQUOT} : std::vector{EIO};
  int64_t failed = 0;
  for (int error : errors)
    for (int64_t call = 1;; call += longTests() ? 1 : 7) {
      restore();
      const CommandResult run = resumeFailing(call, error, 1, "3 --checkpoint-every 1");
      EXPECT_EQ(run.exitCode, 0) << call << run.err;
      EXPECT_EQ(folder_.entries(), 1u) << call;
      EXPECT_EQ(stepOf(file_), 4) << call;
      if (!fs::exists(log_)) break;
      EXPECT_THAT(unwrapped(run.err), AllOf(HasSubstr("warning: step "),
                                            HasSubstr(" is not saved: "), HasSubstr("/c: ")))
          << call;
      ++failed;
    }
  expectResumes(4);
  EXPECT_GE(failed, longTests() ? 3 * 100 : 15);
  fmt::print("{} calls failed\n", failed);
}

TEST_F(FailingDisk, WritesOfHalfTheirBytesAreContinued) {
  for (int64_t call : {1, 2, 3, 4, 5, 6}) {
    restore();
    const CommandResult run = resumeFailing(call, 0, 1000, "2");
    EXPECT_EQ(run.exitCode, 0) << run.err;
    EXPECT_GT(linesOf(log_), 5);
    expectResumes(3);
  }
}

TEST_F(FailingDisk, FailingUntilTheEndItIsAnErrorAndTheOldCheckpointStays) {
  constexpr int64_t kFromThenOn = 1'000'000;
  for (int64_t call = 1;; call += longTests() ? 1 : 9) {
    restore();
    const CommandResult run = resumeFailing(call, ENOSPC, kFromThenOn, "2 --checkpoint-every 1");
    EXPECT_EQ(folder_.entries(), 1u) << call;
    if (!fs::exists(log_)) break;
    EXPECT_EQ(run.exitCode, 5) << call;
    EXPECT_THAT(unwrapped(run.err),
                AllOf(HasSubstr("error: "), HasSubstr("/c: step 3: "),
                      HasSubstr("No space left on device"), HasSubstr("hint: ")));
    EXPECT_THAT(run.out, HasSubstr("step 3 "));  // it was trained
    EXPECT_GE(stepOf(file_), 1);
    if (stepOf(file_) == 1) {
      EXPECT_EQ(bytesOf(file_), old_);
    }
  }
  restore();
  resumeFailing(1, ENOSPC, kFromThenOn, "2 --checkpoint-every 1");
  EXPECT_EQ(bytesOf(file_), old_);
  expectResumes(1);
}

TEST_F(FailingDisk, ALimitOnTheSizeOfFilesIsAnErrorNotASignal) {
  const CommandResult run =
      runInRepository("ulimit -f 8 && " + resume("2 --checkpoint-every 1 --launch threads"));
  EXPECT_EQ(run.exitCode, 5) << run.err;
  EXPECT_THAT(unwrapped(run.err), AllOf(HasSubstr("warning: step 2 is not saved"),
                                        HasSubstr("error: "), HasSubstr("File too large")));
  EXPECT_EQ(bytesOf(file_), old_);
  EXPECT_EQ(folder_.entries(), 1u);
}

TEST_F(FailingDisk, RanksThatAreProcessesGoOnTogether) {
  const CommandResult run = runInRepository(
      "ulimit -f 8 && " + resume("3 --checkpoint-every 2 --ranks 2 --launch processes"));
  EXPECT_EQ(run.exitCode, 5) << run.err;
  EXPECT_THAT(run.out, HasSubstr("step 4 "));
  EXPECT_THAT(unwrapped(run.err), AllOf(HasSubstr("warning: step 2 is not saved"),
                                        HasSubstr("error: "), HasSubstr("File too large")));
  EXPECT_EQ(bytesOf(file_), old_);
  EXPECT_EQ(folder_.entries(), 1u);
}

TEST_F(FailingDisk, ACheckpointIsNoDevice) {
  for (const char* device : {"/dev/full", "/dev/null"}) {
    const CommandResult run =
        runMeshplan(fmt::format("run {} --steps 1 --checkpoint {}", kModel, device));
    EXPECT_EQ(run.exitCode, 5) << run.err;
    EXPECT_THAT(unwrapped(run.err), AllOf(HasSubstr(device), HasSubstr("is not a regular file")));
    EXPECT_TRUE(fs::is_character_file(device));
    EXPECT_EQ(run.out.find("step"), std::string::npos) << "trained first:\n" << run.out;
  }
}

TEST_F(FailingDisk, ALinkToACheckpointStaysALink) {
  const std::string link = prints_.file("link");
  fs::create_symlink(file_, link);
  const CommandResult run =
      runMeshplan(fmt::format("run {} --resume {} --checkpoint {} --steps 2", kModel, link, link));
  EXPECT_EQ(run.exitCode, 0) << run.err;
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(stepOf(file_), 3);
}

bool mayMount() {
  return std::system("unshare -m mount -t tmpfs tmpfs /mnt 2>/dev/null") == 0;
}

TEST_F(FailingDisk, ALogThatIsFullDoesNotEndTheTraining) {
  if (!mayMount()) GTEST_SKIP() << "mounting file systems is not permitted here (it takes root)";
  const std::string script =
      prints_.write("script", fmt::format("mount -t tmpfs -o size=4k tmpfs /mnt && {} >/mnt/log\n",
                                          resume("200 --log-every 1")));
  const CommandResult run = runInRepository("unshare -m sh " + script);
  EXPECT_EQ(run.exitCode, 5) << run.err;
  EXPECT_THAT(unwrapped(run.err), AllOf(HasSubstr("warning: stdout cannot be written"),
                                        HasSubstr("error: stdout cannot be written")));
  EXPECT_EQ(stepOf(file_), 201);
}

/// A file system in memory of 2 MiB that only the processes of a test see, through /proc: it goes
/// with the last of them.
class SmallDisk : public testing::Test {
 protected:
  void SetUp() override {
    if (!mayMount()) GTEST_SKIP() << "mounting file systems is not permitted here (it takes root)";
    const std::string script = scratch_.write(
        "script", fmt::format("mount -t tmpfs -o size=2m tmpfs {0} && exec '{1}/cli/meshplan' run "
                              "{2} --steps 1000000 --log-every 1 --checkpoint {0}/c "
                              "--checkpoint-every 5\n",
                              mounted_, MESHPLAN_BINARY_DIR, kModel));
    fs::create_directory(mounted_);
    run_ = std::make_unique<ChildProcess>(scratch_.file(""), "run",
                                          std::vector<std::string>{"unshare", "-m", "sh", script});
    ASSERT_TRUE(waitUntil([&] { return savedStep() > 0; })) << run_->errors();
  }
  /// In the run's own view of the files.
  void inside(const std::string& command) const {
    const std::string line = fmt::format("nsenter -t {} -m sh -c '{}'", run_->pid(), command);
    ASSERT_TRUE(waitUntil([&] { return std::system(line.c_str()) == 0; })) << line;
  }
  std::string path(const std::string& name) const {
    return fmt::format("/proc/{}/root{}/{}", run_->pid(), mounted_, name);
  }
  int64_t savedStep() const { return fs::exists(path("c")) ? stepOf(path("c")) : 0; }
  size_t warnings() const {
    size_t count = 0;
    const std::string text = run_->errors();
    for (size_t at = 0; (at = text.find("is not saved", at)) != std::string::npos; ++at) ++count;
    return count;
  }
  void expectToFailAndGoOn(const std::string& message) {
    const size_t before = warnings();
    ASSERT_TRUE(waitUntil([&] { return warnings() >= before + 3; })) << run_->errors();
    EXPECT_THAT(unwrapped(run_->errors()), HasSubstr(message));
    const std::string held = bytesOf(path("c"));
    const size_t more = warnings();
    ASSERT_TRUE(waitUntil([&] { return warnings() >= more + 2; }));
    EXPECT_EQ(bytesOf(path("c")), held);
    EXPECT_TRUE(waitUntil([&] { return !fs::exists(path("c.tmp0")); }));
  }
  void expectToSaveAgain() {
    const int64_t step = savedStep();
    ASSERT_TRUE(waitUntil([&] { return savedStep() > step + 5; })) << run_->errors();
    kill(run_->pid(), SIGINT);
    EXPECT_EQ(run_->wait(), 130) << run_->errors();
  }

  ScratchFolder scratch_;
  const std::string mounted_ = scratch_.file("mounted");
  std::unique_ptr<ChildProcess> run_;
};

TEST_F(SmallDisk, ThatIsFullKeepsTheOldCheckpointUntilThereIsRoom) {
  // Again and again: a save under way leaves room when it ends.
  inside(fmt::format(
      "for i in 1 2 3 4 5 6 7 8; do cat /dev/zero >>{}/filler 2>/dev/null; sleep 0.05; done; true",
      mounted_));
  expectToFailAndGoOn("No space left on device");
  inside(fmt::format("rm {}/filler", mounted_));
  expectToSaveAgain();
}

TEST_F(SmallDisk, ThatIsReadOnlyForAWhileKeepsTheOldCheckpoint) {
  inside(fmt::format("mount -o remount,ro {} 2>/dev/null", mounted_));
  expectToFailAndGoOn("Read-only file system");
  inside(fmt::format("mount -o remount,rw {}", mounted_));
  expectToSaveAgain();
}

}  // namespace
}  // namespace meshplan
