// SPDX-License-Identifier: Apache-2.0
// `meshplan run --backend cuda` on ranks that are processes with emulated GPUs, joined by what
// stands in for NCCL.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "profiles/profile_store.h"
#include "tests/child_process.h"
#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

constexpr const char* kModel = "mlp -b 8 --backend cuda ";

class GpuProcesses : public testing::Test {
 protected:
  using Texts = std::vector<std::string>;

  /// On a machine with two GPUs; the ranks of one call exchange their data.
  Texts environment(const Texts& others = {}, const std::string& gpus = "2") {
    boards_ = scratch_.file("board" + std::to_string(++calls_));
    std::filesystem::create_directory(boards_);
    Texts all = {"MESHPLAN_EMULATED_GPUS=" + gpus + " H200 151397597184 132",
                 std::string("LD_LIBRARY_PATH=") + MESHPLAN_NCCL_STAND_IN_LIBRARIES,
                 "MESHPLAN_NCCL_STAND_IN_FOLDER=" + boards_, "MESHPLAN_PROFILES=" + store()};
    all.insert(all.end(), others.begin(), others.end());
    return all;
  }
  std::unique_ptr<ChildProcess> start(const std::string& arguments, const Texts& environment,
                                      const std::string& model = kModel) {
    std::istringstream in(std::string(MESHPLAN_EMULATED) + " run " + model + arguments);
    return std::make_unique<ChildProcess>(scratch_.file(""), "run" + std::to_string(++starts_),
                                          Texts{std::istream_iterator<std::string>(in), {}},
                                          environment);
  }
  std::string store() const { return scratch_.file("profiles.db"); }

  ScratchFolder scratch_;
  std::string boards_;

 private:
  int calls_ = 0, starts_ = 0;
};

TEST_F(GpuProcesses, TrainAsThreadsAndAsOneRankDo) {
  for (const std::string strategy : {"dp=2", "tp=2", "pp=2,mbs=4"}) {
    const std::string arguments = "--steps 4 --format json ";
    const auto one = start(arguments, environment());
    const auto threads = start(arguments + "--ranks 2 --strategy " + strategy, environment());
    const auto processes =
        start(arguments + "--ranks 2 --launch processes --strategy " + strategy, environment());
    EXPECT_EQ(one->wait(), 0) << one->errors();
    EXPECT_EQ(threads->wait(), 0) << threads->errors();
    EXPECT_EQ(processes->wait(), 0) << processes->errors();
    const auto expected = lossesOf(one->output()), found = lossesOf(processes->output());
    EXPECT_EQ(found, lossesOf(threads->output())) << strategy;
    ASSERT_EQ(found.size(), 4u);
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(found[i], expected[i], 1e-4) << strategy;
    EXPECT_FALSE(std::filesystem::is_empty(boards_));
  }
  for (const auto& run : ProfileStore(store(), ProfileStore::Access::read).runs())
    EXPECT_EQ(run.transport, "nccl");
}

TEST_F(GpuProcesses, MaySeeOneGpuEachAsUnderSrun) {
  const Texts common = environment();
  std::vector<std::unique_ptr<ChildProcess>> ranks;
  for (const char* rank : {"0", "1"}) {
    Texts own = common;
    for (const char* name : {"RANK=", "LOCAL_RANK=", "CUDA_VISIBLE_DEVICES="})
      own.push_back(std::string(name) + rank);
    own.insert(own.end(), {"WORLD_SIZE=2", "LOCAL_WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1",
                           "MASTER_PORT=29513", "TORCHELASTIC_RUN_ID=" + boards_});
    ranks.push_back(start("--steps 3 --format json --strategy dp=2", own));
  }
  for (const auto& rank : ranks) EXPECT_EQ(rank->wait(), 0) << rank->errors();
  EXPECT_EQ(lossesOf(ranks[0]->output()).size(), 3u);
  EXPECT_EQ(ranks[1]->output() + ranks[1]->errors(), "");
}

TEST_F(GpuProcesses, ThatAreMoreThanGpusAreToldWhatToDo) {
  const auto begin = Clock::now();
  const auto job = start("--ranks 3 --launch processes", environment());
  EXPECT_EQ(job->wait(), 2) << job->errors();
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(15));
  const std::string said = job->errors();
  EXPECT_THAT(said, AllOf(HasSubstr("see 2 GPUs, and each needs one of its own"),
                          HasSubstr("hint: start at most 2 there")));
  EXPECT_EQ(said.find("error: "), said.rfind("error: ")) << said;
  EXPECT_EQ(job->output(), "");
}

TEST_F(GpuProcesses, ArePlannedWithinTheMemoryOfTheGpu) {
  const auto job =
      start("-b 16000000 --strategy mbs=16000000", environment(), "mlp --backend cuda ");
  EXPECT_EQ(job->wait(), 4) << job->output();
  EXPECT_THAT(job->errors(), AllOf(HasSubstr("the plan needs "),
                                   HasSubstr("141 GiB per rank are free"), HasSubstr("hint: ")));
}

TEST_F(GpuProcesses, WithoutAnyGpuOrWithAnOldNcclNameTheRankAndTheRemedy) {
  const auto none = start("--ranks 2 --launch processes", environment({"CUDA_VISIBLE_DEVICES="}));
  EXPECT_EQ(none->wait(), 2) << none->errors();
  EXPECT_THAT(none->errors(), AllOf(HasSubstr("rank 0 on "), HasSubstr("finds no GPU"),
                                    HasSubstr("hint: look at CUDA_VISIBLE_DEVICES")));
  const auto old =
      start("--ranks 2 --launch processes", environment({"MESHPLAN_NCCL_STAND_IN_VERSION=21703"}));
  EXPECT_EQ(old->wait(), 2) << old->errors();
  EXPECT_THAT(old->errors(),
              AllOf(HasSubstr("rank 0 on "), HasSubstr("NCCL 2.17.3"), HasSubstr("hint: ")));
}

pid_t rankOf(pid_t launcher, const std::string& rank) {
  std::ifstream children("/proc/" + std::to_string(launcher) + "/task/" + std::to_string(launcher) +
                         "/children");
  for (pid_t child; children >> child;) {
    std::ifstream environment("/proc/" + std::to_string(child) + "/environ");
    for (std::string v; std::getline(environment, v, '\0');)
      if (v == "MESHPLAN_RANK=" + rank) return child;
  }
  return 0;
}

TEST_F(GpuProcesses, ThatAreKilledEndTheOthersAndLeaveTheStoreWhole) {
  const auto before = start("--steps 2 --ranks 2 --launch processes", environment());
  EXPECT_EQ(before->wait(), 0) << before->errors();
  for (const std::string victim : {"0", "1"}) {
    const auto job = start(
        "--steps 100000 --log-every 1 --ranks 2 --launch processes "
        "--strategy dp=2",
        environment());
    ASSERT_TRUE(waitUntil([&] { return job->output().find("step 3 ") != std::string::npos; }))
        << job->errors();
    const pid_t pid = rankOf(job->pid(), victim);
    ASSERT_GT(pid, 0);
    const auto begin = Clock::now();
    kill(pid, SIGKILL);
    EXPECT_EQ(job->wait(), 5) << job->errors();
    EXPECT_LT(Clock::now() - begin, std::chrono::seconds(10));
    EXPECT_THAT(job->errors(), HasSubstr("rank " + victim + " was killed by signal 9"));
    EXPECT_EQ(ProfileStore(store(), ProfileStore::Access::read).runs().size(), 1u);
  }
}

TEST_F(GpuProcesses, WhoseNcclCallsFailEndWithTheCallsName) {
  int failures = 0;
  for (const char* call : {"1:1", "1:4", "0:9", "1:16", "0:40"}) {
    const auto job = start("--steps 30 --ranks 2 --launch processes --strategy dp=2",
                           environment({std::string("MESHPLAN_NCCL_STAND_IN_FAIL=") + call}));
    const int code = job->wait();
    if (code == 0) continue;
    ++failures;
    EXPECT_EQ(code, 5) << job->errors();
    EXPECT_THAT(job->errors(), AllOf(HasSubstr("nccl"), HasSubstr("unhandled system error")));
  }
  EXPECT_GE(failures, 3);
}

}  // namespace
}  // namespace meshplan
