// SPDX-License-Identifier: Apache-2.0
// A run that is killed at any moment leaves the old or the new checkpoint, whole.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "tests/backend/long_tests.h"
#include "tests/child_process.h"
#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

constexpr const char* kModel = R"({"model_type": "gpt2", "vocab_size": 256, "n_positions": 8,
  "n_embd": 192, "n_layer": 1, "n_head": 4})";

int64_t lastStep(const CommandResult& result) {
  return nlohmann::json::parse(result.out).at("steps").back().at("step").get<int64_t>();
}

TEST(KilledRun, LeavesAWholeCheckpoint) {
  const ScratchFolder folder, prints;
  const std::string model = folder.write("config.json", kModel), file = folder.file("c");
  const std::vector<std::string> common{MESHPLAN_BINARY_DIR "/cli/meshplan",
                                        "run",
                                        model,
                                        "--seq",
                                        "8",
                                        "-b",
                                        "1",
                                        "--threads",
                                        "1",
                                        "--checkpoint",
                                        file};
  std::string line;
  for (size_t i = 1; i < common.size(); ++i) line += common[i] + " ";
  const CommandResult first = runMeshplan(line + "--steps 1 --format json");
  ASSERT_EQ(first.exitCode, 0) << first.err;
  int64_t step = lastStep(first);
  const size_t entries = folder.entries();

  std::mt19937 random(7);
  std::uniform_int_distribution<int> milliseconds(60, 400);
  const int kills = longTests() ? 300 : 30;
  int saved = 0, leftovers = 0;
  for (int i = 0; i < kills; ++i) {
    std::vector<std::string> arguments = common;
    for (const char* a :
         {"--resume", file.c_str(), "--steps", "1000000", "--checkpoint-every", "1"})
      arguments.emplace_back(a);
    ChildProcess run(prints.file(""), "run", arguments);
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds(random)));
    ASSERT_EQ(::kill(run.pid(), SIGKILL), 0);
    ASSERT_EQ(run.wait(), 128 + SIGKILL) << run.errors();
    leftovers += folder.entries() > entries;
    ASSERT_LE(folder.entries(), entries + 1);
    const CommandResult next = runMeshplan(line + "--resume " + file + " --steps 1 --format json");
    ASSERT_EQ(next.exitCode, 0) << next.err;
    ASSERT_EQ(folder.entries(), entries);
    ASSERT_GT(lastStep(next), step);
    saved += lastStep(next) > step + 1;
    step = lastStep(next);
  }
  fmt::print("{} runs killed, {} after a step was saved, {} while saving\n", kills, saved,
             leftovers);
  EXPECT_GT(saved, kills / 10);
}

}  // namespace
}  // namespace meshplan
