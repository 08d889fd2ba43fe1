// SPDX-License-Identifier: Apache-2.0
// Ranks as real processes: started, killed, stopped, and left alone.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

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

bool waitUntil(const std::function<bool()>& condition, std::chrono::seconds within = 20s) {
  const auto until = Clock::now() + within;
  while (!condition())
    if (Clock::now() > until)
      return false;
    else
      std::this_thread::sleep_for(5ms);
  return true;
}

/// A program with its output in files of a folder of its own; killed at the end if it still runs.
class Program {
 public:
  Program(const std::filesystem::path& folder, const std::string& name,
          const std::vector<std::string>& arguments,
          const std::vector<std::string>& environment = {})
      : out_(folder / (name + ".out")), err_(folder / (name + ".err")) {
    std::vector<const char*> argv{kProgram.c_str()};
    for (const auto& a : arguments) argv.push_back(a.c_str());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    for (const auto& [path, fd] : {std::pair(out_, 1), std::pair(err_, 2)})
      dup2(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), fd);
    for (const auto& v : environment) putenv(const_cast<char*>(v.c_str()));
    execv(argv[0], const_cast<char**>(argv.data()));
    _exit(127);
  }
  ~Program() {
    if (exit_ >= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }
  std::string output() const { return read(out_); }
  std::string errors() const { return read(err_); }
  /// The exit code, 128 + signal, or -1 when it does not end in time.
  int wait(std::chrono::seconds within = 30s) {
    int status = 0;
    if (!waitUntil([&] { return waitpid(pid_, &status, WNOHANG) == pid_; }, within)) return -1;
    return exit_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  static std::string read(const std::filesystem::path& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  std::filesystem::path out_, err_;
  pid_t pid_ = -1;
  int exit_ = -1;
};

class Processes : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/meshplan-test-XXXXXX";
    folder_ = mkdtemp(name);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Program launch(int ranks, const std::string& what,
                 const std::vector<std::string>& environment = {}) {
    return Program(folder_, "launch", {"launch", std::to_string(ranks), folder_.string(), what},
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

  std::filesystem::path folder_;
};

bool runs(pid_t pid) {
  return kill(pid, 0) == 0;
}

TEST_F(Processes, AddUpAndLeaveTheirOutputToRankZero) {
  Program job = launch(4, "sum");
  EXPECT_EQ(job.wait(), 0) << job.errors();
  EXPECT_EQ(job.output(), "sum 10 over 4 ranks\n");
  EXPECT_THAT(job.errors(),
              AllOf(HasSubstr("[rank 1] rank 1 got 10\n"), HasSubstr("[rank 3] rank 3 got 10\n"),
                    HasSubstr("rank 0 got 10\n"), Not(HasSubstr("[rank 0]"))));
}

TEST_F(Processes, OneRankIsAJobToo) {
  Program job = launch(1, "sum");
  EXPECT_EQ(job.wait(), 0) << job.errors();
  EXPECT_EQ(job.output(), "sum 1 over 1 ranks\n");
}

TEST_F(Processes, AKilledRankIsNamedByAllOthersWithinTwoSeconds) {
  for (const int victim : {0, 2}) {
    Program job = launch(4, "loop");
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
  Program job = launch(3, "busy");
  for (int r = 0; r < 3; ++r) pidOf(r);
  std::this_thread::sleep_for(100ms);
  const auto start = Clock::now();
  kill(pidOf(1), SIGKILL);
  EXPECT_EQ(job.wait(), 5);
  EXPECT_LT(secondsSince(start), 2.5);
  EXPECT_THAT(job.errors(), AllOf(HasSubstr("error: rank 1 died"), HasSubstr("(rank 0 was busy")));
}

TEST_F(Processes, AStoppedRankIsReportedAndMayGoOn) {
  Program job = launch(3, "loop");
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
  Program job = launch(3, "loop", {"MESHPLAN_STRAGGLER_SECONDS=1"});
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
  Program job = launch(4, "input-error");
  EXPECT_EQ(job.wait(), 3);
  EXPECT_THAT(job.errors(), AllOf(HasSubstr("[rank 2] error: a broken file"),
                                  HasSubstr("[rank 1] error: rank 2 gave up: a broken file")));
}

TEST_F(Processes, WaitingForARankThatHasEndedIsAnError) {
  Program job = launch(3, "leave");
  EXPECT_EQ(job.wait(), 5);
  EXPECT_THAT(job.errors(), HasSubstr("waits in barrier, but rank 1 has ended"));
}

TEST_F(Processes, ATerminatedLauncherEndsItsRanks) {
  Program job = launch(3, "loop");
  std::vector<pid_t> ranks;
  for (int r = 0; r < 3; ++r) ranks.push_back(pidOf(r));
  kill(job.pid(), SIGTERM);
  EXPECT_EQ(job.wait(10s), 128 + SIGTERM);
  for (const pid_t rank : ranks) EXPECT_FALSE(runs(rank));
}

TEST_F(Processes, NoRankOutlivesAKilledLauncher) {
  Program job = launch(3, "loop");
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
    std::vector<std::unique_ptr<Program>> ranks;
    for (const int r : {2, 1, 0})
      ranks.push_back(std::make_unique<Program>(
          folder_, launcher + std::to_string(r),
          std::vector<std::string>{"rank", folder_.string(), "sum"}, variables(launcher, r)));
    for (const auto& rank : ranks) EXPECT_EQ(rank->wait(), 0) << rank->errors();
    EXPECT_EQ(ranks.back()->output(), "sum 6 over 3 ranks\n");
  }
}

}  // namespace
}  // namespace meshplan
