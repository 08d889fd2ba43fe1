// SPDX-License-Identifier: Apache-2.0
// A run that is killed at any moment leaves the old or the new checkpoint, whole.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include "backend/safetensors.h"
#include "tests/backend/long_tests.h"
#include "tests/child_process.h"
#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

constexpr const char* kModel = R"({"model_type": "gpt2", "vocab_size": 256, "n_positions": 8,
  "n_embd": 64, "n_layer": 1, "n_head": 4})";

int64_t stepOf(const std::string& file) {
  return std::stoll(SafetensorsFile(file).metadata().at("step"));
}

/// The last step that a run has printed; 0: none.
int64_t lastPrinted(const std::string& output) {
  const size_t line = output.rfind("step ");
  return line == std::string::npos ? 0 : std::stoll(output.substr(line + 5));
}

/// Runs of one model that resume from, and save to, the same file.
class KilledRun : public testing::Test {
 protected:
  std::vector<std::string> resuming(const std::string& steps) const {
    return {MESHPLAN_BINARY_DIR "/cli/meshplan",
            "run",
            model_,
            "--seq",
            "8",
            "-b",
            "1",
            "--threads",
            "1",
            "--checkpoint",
            file_,
            "--resume",
            file_,
            "--steps",
            steps,
            "--checkpoint-every",
            "1",
            "--log-every",
            "1"};
  }

  ScratchFolder folder_, prints_;
  const std::string model_ = folder_.write("config.json", kModel), file_ = folder_.file("c");
};

/// Each run resumes from what the one before has left, and would end by itself if it could not. A
/// step is printed before it is saved: the one before it must be on the disk.
TEST_F(KilledRun, LeavesAWholeCheckpoint) {
  const CommandResult first = runMeshplan(
      fmt::format("run {} --seq 8 -b 1 --threads 1 --checkpoint {} --steps 1", model_, file_));
  ASSERT_EQ(first.exitCode, 0) << first.err;
  const size_t entries = folder_.entries();
  std::mt19937 random(7);
  std::uniform_int_distribution<int> milliseconds(0, 150);
  const int kills = longTests() ? 1000 : 60;
  int64_t step = 1;
  int saved = 0, leftovers = 0;
  for (int i = 0; i < kills; ++i) {
    ChildProcess run(prints_.file(""), "run", resuming("1000000"));
    const bool early = i % 4 == 0;  // before its first step
    ASSERT_TRUE(early || waitUntil([&] { return lastPrinted(run.output()) > 0; })) << i;
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds(random)));
    ASSERT_EQ(::kill(run.pid(), SIGKILL), 0);
    ASSERT_EQ(run.wait(), 128 + SIGKILL) << run.errors();
    leftovers += folder_.entries() > entries;
    ASSERT_LE(folder_.entries(), entries + 1);
    const int64_t now = stepOf(file_);
    ASSERT_GE(now, std::max(step, lastPrinted(run.output()) - 1));
    saved += now > step;
    step = now;
  }
  ChildProcess last(prints_.file(""), "last", resuming("1"));
  EXPECT_EQ(last.wait(), 0) << last.errors();
  EXPECT_EQ(stepOf(file_), step + 1);
  EXPECT_EQ(folder_.entries(), entries);
  fmt::print("{} runs killed, {} after a step was saved, {} while saving; {} steps\n", kills, saved,
             leftovers, step);
  EXPECT_GT(saved, kills / 8);
  EXPECT_GT(leftovers, kills / 20);
}

}  // namespace
}  // namespace meshplan
