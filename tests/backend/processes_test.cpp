// SPDX-License-Identifier: Apache-2.0
// Ranks as real processes: started, killed, stopped, and left alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/child_process.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Clock = std::chrono::steady_clock;

const std::string kProgram = MESHPLAN_BINARY_DIR "/tests/rank_program";

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Processes : public ::testing::Test {
 protected:
  ChildProcess launch(int ranks, const std::string& what,
                      const std::vector<std::string>& environment = {}) {
    return ChildProcess(folder_, "launch",
                        {kProgram, "launch", std::to_string(ranks), folder_.string(), what},
                        environment);
  }
  pid_t pidOf(int rank) {
    const auto path = folder_ / ("rank" + std::to_string(rank) + ".pid");
    EXPECT_TRUE(waitUntil([&] { return std::filesystem::exists(path); })) << path;
    pid_t pid = -1;
    std::ifstream(path) >> pid;
    return pid;
  }
  void endLoop() { std::ofstream(folder_ / "end") << "now"; }

  const ScratchFolder scratch_;
  const std::filesystem::path folder_ = scratch_.file("");
};

bool runs(pid_t pid) {
  return kill(pid, 0) == 0;
}

TEST_F(Processes, AddUpAndLeaveTheirOutputToRankZero) {
  ChildProcess job = launch(4, "sum");
  EXPECT_EQ(job.wait(), 0) << job.errors();
  EXPECT_EQ(job.output(), "sum 10 over 4 ranks\n");
  EXPECT_THAT(job.errors(),
              AllOf(HasSubstr("[rank 1] rank 1 got 10\n"), HasSubstr("[rank 3] rank 3 got 10\n"),
                    HasSubstr("rank 0 got 10\n"), Not(HasSubstr("[rank 0]"))));
}

TEST_F(Processes, PassEveryCheckOfACommunicator) {
  for (const int ranks : {1, 2, 3, 5}) {
    ChildProcess job = launch(ranks, "conformance");
    EXPECT_EQ(job.wait(), 0) << job.errors() << job.output();
    EXPECT_EQ(job.output(), "17 checks\n");
  }
}

TEST_F(Processes, MeasureTheLinkBetweenThem) {
  ChildProcess job = launch(3, "probe");
  EXPECT_EQ(job.wait(), 0) << job.errors();
  double latency = -1, bandwidth = 0;
  std::istringstream(job.output()) >> latency >> bandwidth;
  EXPECT_GE(latency, 0);
  EXPECT_LT(latency, 1);
  EXPECT_GT(bandwidth, 1e6);
  const std::string errors = job.errors();
  const size_t link = errors.find("rank 0: ") + 8;
  const std::string text = errors.substr(link, errors.find('\n', link) - link);
  EXPECT_THAT(errors, AllOf(HasSubstr("rank 1: " + text), HasSubstr("rank 2: " + text)));
}

TEST_F(Processes, OneRankIsAJobToo) {
  ChildProcess job = launch(1, "sum");
  EXPECT_EQ(job.wait(), 0) << job.errors();
  EXPECT_EQ(job.output(), "sum 1 over 1 ranks\n");
}

TEST_F(Processes, AKilledRankIsNamedByAllOthersWithinTwoSeconds) {
  for (const int victim : {0, 2}) {
    ChildProcess job = launch(4, "loop");
    for (int r = 0; r < 4; ++r) pidOf(r);
    std::this_thread::sleep_for(100ms);
    const auto start = Clock::now();
    kill(pidOf(victim), SIGKILL);
    EXPECT_EQ(job.wait(), 5);
    EXPECT_LT(secondsSince(start), 2);
    const std::string errors = job.errors();
    const std::string died = "error: rank " + std::to_string(victim) + " died";
    for (int r = 1; r < 4; ++r)
      if (r != victim) {
        EXPECT_THAT(errors, HasSubstr("[rank " + std::to_string(r) + "] " + died));
      }
    EXPECT_THAT(errors, AllOf(HasSubstr("rank " + std::to_string(victim) +
                                        " was killed by signal 9 (Killed)"),
                              HasSubstr(died)));
    for (int r = 0; r < 4; ++r) {
      EXPECT_FALSE(runs(pidOf(r))) << "rank " << r;
      std::filesystem::remove(folder_ / ("rank" + std::to_string(r) + ".pid"));
    }
  }
}

TEST_F(Processes, ARankThatComputesEndsToo) {
  ChildProcess job = launch(3, "busy");
  for (int r = 0; r < 3; ++r) pidOf(r);
  std::this_thread::sleep_for(100ms);
  const auto start = Clock::now();
  kill(pidOf(1), SIGKILL);
  EXPECT_EQ(job.wait(), 5);
  EXPECT_LT(secondsSince(start), 2.5);
  EXPECT_THAT(job.errors(), AllOf(HasSubstr("error: rank 1 died"), HasSubstr("(rank 0 was busy")));
}

TEST_F(Processes, AStoppedRankIsReportedAndMayGoOn) {
  ChildProcess job = launch(3, "loop");
  const pid_t victim = pidOf(1);
  for (int r = 0; r < 3; ++r) pidOf(r);
  std::this_thread::sleep_for(100ms);
  const auto start = Clock::now();
  kill(victim, SIGSTOP);
  const auto reported = [&] {
    const std::string errors = job.errors();
    return errors.find("rank 0: straggler: rank 1 has not answered for") != std::string::npos &&
           errors.find("[rank 2] rank 2: straggler: rank 1 has not answered for") !=
               std::string::npos;
  };
  EXPECT_TRUE(waitUntil(reported)) << job.errors();
  EXPECT_LT(secondsSince(start), 10);
  EXPECT_THAT(job.errors(), HasSubstr("rank 0 waits in "));
  kill(victim, SIGCONT);
  EXPECT_TRUE(waitUntil([&] {
    return job.errors().find("rank 0: rank 1 answers again") != std::string::npos;
  })) << job.errors();
  endLoop();
  EXPECT_EQ(job.wait(), 0) << job.errors();
  EXPECT_EQ(job.output(), "ended\n");
}

TEST_F(Processes, ARankThatStaysStoppedIsGivenUp) {
  ChildProcess job = launch(3, "loop", {"MESHPLAN_STRAGGLER_SECONDS=1"});
  const pid_t victim = pidOf(2);
  for (int r = 0; r < 3; ++r) pidOf(r);
  const auto start = Clock::now();
  kill(victim, SIGSTOP);
  EXPECT_EQ(job.wait(), 5);
  EXPECT_LT(secondsSince(start), 15);
  EXPECT_THAT(job.errors(), AllOf(HasSubstr("error: rank 2 has not answered for"),
                                  HasSubstr("[rank 1] error: rank 2 has not answered for")));
  EXPECT_FALSE(runs(victim));
}

TEST_F(Processes, TheFirstCauseGivesTheExitCode) {
  ChildProcess job = launch(4, "input-error");
  EXPECT_EQ(job.wait(), 3);
  EXPECT_THAT(job.errors(), AllOf(HasSubstr("[rank 2] error: a broken file"),
                                  HasSubstr("[rank 1] error: rank 2 gave up: a broken file")));
}

TEST_F(Processes, WaitingForARankThatHasEndedIsAnError) {
  ChildProcess job = launch(3, "leave");
  EXPECT_EQ(job.wait(), 5);
  EXPECT_THAT(job.errors(), HasSubstr("waits in barrier, but rank 1 has ended"));
}

TEST_F(Processes, ATerminatedLauncherEndsItsRanks) {
  ChildProcess job = launch(3, "loop");
  std::vector<pid_t> ranks;
  for (int r = 0; r < 3; ++r) ranks.push_back(pidOf(r));
  kill(job.pid(), SIGTERM);
  EXPECT_EQ(job.wait(10s), 128 + SIGTERM);
  for (const pid_t rank : ranks) EXPECT_FALSE(runs(rank));
}

TEST_F(Processes, NoRankOutlivesAKilledLauncher) {
  ChildProcess job = launch(3, "loop");
  std::vector<pid_t> ranks;
  for (int r = 0; r < 3; ++r) ranks.push_back(pidOf(r));
  kill(job.pid(), SIGKILL);
  for (const pid_t rank : ranks) {
    const auto gone = [rank] {
      std::ifstream status("/proc/" + std::to_string(rank) + "/stat");
      std::string id, name, state;
      status >> id >> name >> state;
      return state.empty() || state == "Z";
    };
    EXPECT_TRUE(waitUntil(gone, 5s)) << rank;
  }
}

TEST_F(Processes, TorchrunsAndSrunsEnvironmentsMakeAWorldOnOneHost) {
  const auto variables = [this](const std::string& launcher, int rank) {
    const std::string r = std::to_string(rank), job = std::to_string(getpid());
    if (launcher == "torchrun")
      return std::vector<std::string>{"RANK=" + r,
                                      "WORLD_SIZE=3",
                                      "LOCAL_RANK=" + r,
                                      "LOCAL_WORLD_SIZE=3",
                                      "MASTER_ADDR=here",
                                      "MASTER_PORT=29999",
                                      "TORCHELASTIC_RUN_ID=" + job};
    return std::vector<std::string>{
        "SLURM_PROCID=" + r, "SLURM_NTASKS=3",      "SLURM_LOCALID=" + r,      "SLURM_STEP_ID=0",
        "SLURM_NNODES=1",    "SLURM_JOB_ID=" + job, "SLURM_STEP_NODELIST=here"};
  };
  for (const std::string launcher : {"torchrun", "srun"}) {
    std::vector<std::unique_ptr<ChildProcess>> ranks;
    for (const int r : {2, 1, 0})
      ranks.push_back(std::make_unique<ChildProcess>(
          folder_, launcher + std::to_string(r),
          std::vector<std::string>{kProgram, "rank", folder_.string(), "sum"},
          variables(launcher, r)));
    for (const auto& rank : ranks) EXPECT_EQ(rank->wait(), 0) << rank->errors();
    EXPECT_EQ(ranks.back()->output(), "sum 6 over 3 ranks\n");
  }
}

}  // namespace
}  // namespace meshplan
