// SPDX-License-Identifier: Apache-2.0
// Ranks that mpirun has started: the checks of every communicator, and how they end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

#include "backend/comm/mpi.h"
#include "tests/child_process.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class Mpi : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::system("mpirun --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "there is no mpirun";
  }
  std::unique_ptr<ChildProcess> start(int ranks, const std::string& what,
                                      const std::vector<std::string>& environment = {}) {
    // Open MPI does not free all that it allocates.
    std::vector<std::string> variables = {"OMPI_ALLOW_RUN_AS_ROOT=1",
                                          "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
                                          "ASAN_OPTIONS=detect_leaks=0"};
    variables.insert(variables.end(), environment.begin(), environment.end());
    return std::make_unique<ChildProcess>(
        scratch_.file(""), "job",
        std::vector<std::string>{"mpirun", "--oversubscribe", "-n", std::to_string(ranks),
                                 MESHPLAN_BINARY_DIR "/tests/rank_program", "rank",
                                 scratch_.file(""), what},
        variables);
  }
  pid_t pidOf(int rank) {
    const auto path = scratch_.file("rank" + std::to_string(rank) + ".pid");
    EXPECT_TRUE(waitUntil([&] { return std::filesystem::exists(path); })) << path;
    pid_t pid = -1;
    std::ifstream(path) >> pid;
    return pid;
  }
  void needLibrary() const {
    if (!mpiAvailable()) GTEST_SKIP() << "Meshplan was built without MPI";
  }

  ScratchFolder scratch_;
};

TEST_F(Mpi, PassesEveryCheckOfACommunicator) {
  needLibrary();
  for (const int ranks : {1, 2, 3, 8}) {
    const auto job = start(ranks, "conformance", {"MESHPLAN_COMMUNICATOR=mpi"});
    EXPECT_EQ(job->wait(120s), 0) << job->errors();
    EXPECT_EQ(job->output(), "17 checks\n") << ranks;
  }
}

TEST_F(Mpi, RanksMeasureTheLinkBetweenThem) {
  needLibrary();
  const auto job = start(2, "probe", {"MESHPLAN_COMMUNICATOR=mpi"});
  EXPECT_EQ(job->wait(60s), 0) << job->errors();
  double latency = -1, bandwidth = 0;
  std::istringstream(job->output()) >> latency >> bandwidth;
  EXPECT_GE(latency, 0);
  EXPECT_GT(bandwidth, 1e6);
}

TEST_F(Mpi, WithoutTheLibraryRanksMeetOverSockets) {
  for (const std::string variable :
       {"MESHPLAN_MPI_LIBRARY=/nowhere.so", "MESHPLAN_COMMUNICATOR=sockets"}) {
    const auto job = start(3, "sum", {variable});
    EXPECT_EQ(job->wait(), 0) << job->errors();
    EXPECT_EQ(job->output(), "sum 6 over 3 ranks\n");
  }
}

TEST_F(Mpi, WithoutTheLibraryMpiCannotBeDemanded) {
  const auto job =
      start(1, "sum", {"MESHPLAN_MPI_LIBRARY=/nowhere.so", "MESHPLAN_COMMUNICATOR=mpi"});
  EXPECT_EQ(job->wait(), 5);
  EXPECT_THAT(job->errors(), HasSubstr("mpirun started this rank, but /nowhere.so"));
}

TEST_F(Mpi, AKilledRankEndsTheWholeJobSoon) {
  const auto job = start(3, "loop");
  for (int r = 0; r < 3; ++r) pidOf(r);
  std::this_thread::sleep_for(200ms);
  const auto begin = std::chrono::steady_clock::now();
  kill(pidOf(1), SIGKILL);
  EXPECT_GT(job->wait(), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
  EXPECT_THAT(job->errors() + job->output(), HasSubstr("rank 1"));
  for (int r = 0; r < 3; ++r)
    EXPECT_TRUE(waitUntil([&] { return kill(pidOf(r), 0) != 0; }, 5s)) << "rank " << r;
}

TEST_F(Mpi, AStoppedRankIsReported) {
  const auto job = start(2, "loop");
  for (int r = 0; r < 2; ++r) pidOf(r);
  std::this_thread::sleep_for(200ms);
  const auto begin = std::chrono::steady_clock::now();
  kill(pidOf(1), SIGSTOP);
  EXPECT_TRUE(waitUntil([&] {
    return job->errors().find("straggler: rank 1 has not answered for") != std::string::npos;
  })) << job->errors();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  kill(pidOf(1), SIGCONT);
  std::ofstream(scratch_.file("end")) << "now";
  EXPECT_EQ(job->wait(), 0) << job->errors();
}

TEST_F(Mpi, ARankThatGivesUpEndsTheJob) {
  const auto job = start(3, "input-error");
  EXPECT_GT(job->wait(), 0);
  EXPECT_THAT(job->errors(), HasSubstr("a broken file"));
}

}  // namespace
}  // namespace meshplan
