// SPDX-License-Identifier: Apache-2.0
// `meshplan run` on threads, on processes and under other launchers: the same losses, and an end
// for every rank whatever happens to one of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "tests/child_process.h"
#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;
using Clock = std::chrono::steady_clock;

const std::string kProgram = MESHPLAN_BINARY_DIR "/cli/meshplan";

std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<std::string>(in), {}};
}

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The ranks that a launcher has started, by their number.
std::map<int, pid_t> ranksOf(pid_t launcher) {
  std::map<int, pid_t> ranks;
  std::ifstream children("/proc/" + std::to_string(launcher) + "/task/" + std::to_string(launcher) +
                         "/children");
  for (pid_t child; children >> child;) {
    std::ifstream environment("/proc/" + std::to_string(child) + "/environ");
    for (std::string v; std::getline(environment, v, '\0');)
      if (v.rfind("MESHPLAN_RANK=", 0) == 0) ranks[std::stoi(v.substr(14))] = child;
  }
  return ranks;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class Run : public testing::Test {
 protected:
  std::unique_ptr<ChildProcess> start(const std::string& name, const std::string& arguments,
                                      const std::vector<std::string>& environment = {}) {
    return startCommand(name, kProgram + " run " + arguments, environment);
  }
  std::unique_ptr<ChildProcess> startCommand(const std::string& name, const std::string& command,
                                             const std::vector<std::string>& environment = {}) {
    return std::make_unique<ChildProcess>(folder(), name, words(command), environment);
  }
  /// As torchrun would start them, this rank first; all have ended.
  std::vector<std::unique_ptr<ChildProcess>> startTogether(
      const std::vector<std::string>& argumentsOfRank) {
    const std::string size = std::to_string(argumentsOfRank.size());
    const std::string job = std::to_string(getpid()) + std::to_string(++jobs_);
    std::vector<std::unique_ptr<ChildProcess>> ranks;
    for (size_t r = 0; r < argumentsOfRank.size(); ++r)
      ranks.push_back(
          start("rank" + std::to_string(r), argumentsOfRank[r],
                {"RANK=" + std::to_string(r), "WORLD_SIZE=" + size,
                 "LOCAL_RANK=" + std::to_string(r), "LOCAL_WORLD_SIZE=" + size,
                 "MASTER_ADDR=127.0.0.1", "MASTER_PORT=29512", "TORCHELASTIC_RUN_ID=" + job}));
    return ranks;
  }
  /// A job of processes that trains until it is ended, once it has trained a step.
  std::unique_ptr<ChildProcess> startLong(int ranks, const std::string& arguments = "") {
    auto job = start("long", "mlp -b 48 --steps 1000000 --log-every 1 --launch processes --ranks " +
                                 std::to_string(ranks) + " " + arguments);
    EXPECT_TRUE(waitUntil([&] { return contains(job->output(), "step 2 "); })) << job->errors();
    return job;
  }
  std::filesystem::path folder() const { return scratch_.file(""); }

  ScratchFolder scratch_;

 private:
  int jobs_ = 0;
};

TEST_F(Run, ThreadsProcessesAndTorchrunsRanksGiveTheSameBits) {
  for (const std::string strategy : {"dp=2", "tp=2", "pp=2,mbs=8", "dp=2,zero=3"}) {
    const std::string arguments = "mlp -b 32 --steps 4 --format json --strategy " + strategy;
    const auto threads = lossesOf(runMeshplan("run --ranks 2 " + arguments).out);
    ASSERT_EQ(threads.size(), 4u);
    const CommandResult processes = runMeshplan("run --ranks 2 --launch processes " + arguments);
    EXPECT_EQ(processes.exitCode, 0) << processes.err;
    EXPECT_EQ(lossesOf(processes.out), threads) << strategy;
    const auto ranks = startTogether({arguments, arguments});
    for (const auto& rank : ranks) EXPECT_EQ(rank->wait(), 0) << rank->errors();
    EXPECT_EQ(lossesOf(ranks[0]->output()), threads) << strategy;
    EXPECT_EQ(ranks[1]->output(), "");
    EXPECT_EQ(ranks[1]->errors(), "");
  }
}

TEST_F(Run, MpirunsRanksGiveTheBitsOfThreads) {
  if (std::system("mpirun --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "there is no mpirun";
  const std::vector<std::string> root = {"OMPI_ALLOW_RUN_AS_ROOT=1",
                                         "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"};
  const std::string mpirun = "mpirun --oversubscribe -n 2 " + kProgram + " run ";
  const std::string arguments = "mlp -b 32 --steps 4 --format json --strategy dp=2";
  const auto threads = lossesOf(runMeshplan("run --ranks 2 " + arguments).out);
  ASSERT_EQ(threads.size(), 4u);
  const auto job = startCommand("mpi", mpirun + arguments, root);
  EXPECT_EQ(job->wait(), 0) << job->errors();
  EXPECT_EQ(lossesOf(job->output()), threads);
  const auto refused = startCommand("refused", mpirun + "--ranks 3 " + arguments, root);
  EXPECT_EQ(refused->wait(), 2);
  EXPECT_THAT(refused->errors(), HasSubstr("mpirun started 2 ranks, but --ranks asks for 3"));
}

TEST_F(Run, APlanIsToldFromAModelByItsContent) {
  const std::string plan = scratch_.file("some.json"), other = scratch_.file("other.json");
  ASSERT_EQ(
      runMeshplan("plan mlp -c 2xL4 -b 32 --precision fp32 --optimizer sgd -o " + plan).exitCode,
      0);
  const CommandResult positional = runMeshplan("run --steps 3 --format json " + plan);
  ASSERT_EQ(positional.exitCode, 0) << positional.err;
  EXPECT_EQ(json::parse(positional.out).at("ranks"), 2);
  const CommandResult named = runMeshplan("run --steps 3 --format json --plan " + plan);
  EXPECT_EQ(lossesOf(named.out), lossesOf(positional.out));
  const CommandResult processes =
      runMeshplan("run --steps 3 --format json --launch processes " + plan);
  EXPECT_EQ(lossesOf(processes.out), lossesOf(positional.out)) << processes.err;
  for (const auto& [arguments, message] : std::map<std::string, std::string>{
           {"--ranks 3", "the plan is for 2 ranks"},
           {"--global-batch 7", "the plan is for a global batch of 32"},
           {"--optimizer adamw", "the plan is for sgd"},
           {"--precision fp64", "the plan is for fp32"},
           {"--strategy dp=2", "--strategy has no effect"},
           {"--plan " + plan, "two plans"}}) {
    const CommandResult r = runMeshplan("run " + plan + " " + arguments);
    EXPECT_EQ(r.exitCode, 2) << arguments;
    EXPECT_THAT(r.err, HasSubstr(message)) << arguments;
  }
  std::ofstream(other)
      << R"({"model_type": "gpt2", "plan": 1, "n_layer": {"graph_fingerprint": 2}})";
  EXPECT_THAT(runMeshplan("run " + other).err, HasSubstr("'n_embd' is missing"));
}

TEST_F(Run, LaunchersThatContradictThemselvesOrTheOptionsAreRefused) {
  const std::vector<std::string> torchrun = {"RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1",
                                             "MASTER_PORT=29513"};
  struct Case {
    std::string arguments;
    std::vector<std::string> environment;
    std::string message;
  };
  auto with = [&](const std::string& variable) {
    auto all = torchrun;
    all.push_back(variable);
    return all;
  };
  for (const Case& c : std::vector<Case>{
           {"--ranks 3", torchrun, "WORLD_SIZE=2 says there are 2 ranks, but --ranks asks for 3"},
           {"--launch processes", torchrun, "--launch processes asks to start some"},
           {"", with("OMPI_COMM_WORLD_RANK=1"), "OMPI_COMM_WORLD_SIZE"},
           {"", {"RANK=2", "WORLD_SIZE=2"}, "RANK=2 contradicts WORLD_SIZE=2"},
           {"", {"RANK=0", "WORLD_SIZE=2"}, "MASTER_ADDR"},
           {"", {"RANK=zero", "WORLD_SIZE=2"}, "RANK=zero is not a number"}}) {
    const auto job = start("contradiction", "mlp " + c.arguments, c.environment);
    EXPECT_EQ(job->wait(), 2) << c.message;
    EXPECT_THAT(job->errors(), AllOf(HasSubstr("error: "), HasSubstr(c.message)));
    EXPECT_EQ(job->output(), "");
  }
}

TEST_F(Run, RanksWithOtherOptionsOrAnotherModelAreRefused) {
  for (const auto& [other, message] :
       std::map<std::string, std::string>{{"mlp --lr 0.5", "--lr 0.5"},
                                          {"mlp --seed 7", "--seed 7"},
                                          {"mlp --set hidden=64", "gave up"},
                                          {"cnn", "gave up"}}) {
    const auto ranks = startTogether({"mlp -b 32 --steps 3", "-b 32 --steps 3 " + other});
    for (const auto& rank : ranks) EXPECT_THAT(rank->wait(), AnyOf(2, 3, 5)) << other;
    EXPECT_THAT(ranks[0]->errors(), AllOf(HasSubstr("error: rank 1 gave up"), HasSubstr(message)));
    EXPECT_EQ(ranks[1]->errors(), "");
  }
}

TEST_F(Run, AnErrorOfAllRanksIsSaidOnce) {
  const CommandResult r =
      runMeshplan("run mlp -b 32 --ranks 3 --launch processes --data idx:/none,/none2");
  EXPECT_EQ(r.exitCode, 3);
  EXPECT_THAT(r.err, HasSubstr("error: "));
  EXPECT_EQ(r.err.find("error: "), r.err.rfind("error: ")) << r.err;
}

TEST_F(Run, WhatDoesNotFitIntoMemoryIsRefused) {
  for (const std::string launch : {"threads", "processes"}) {
    const CommandResult r = runMeshplan(
        "run gpt3-175b --set layers=48 --seq 8 -b 2 --ranks 2 --strategy pp=2 --launch " + launch);
    EXPECT_EQ(r.exitCode, 4) << launch;
    EXPECT_THAT(r.err, AllOf(HasSubstr("GiB per rank are free"), HasSubstr("hint: "))) << launch;
    EXPECT_EQ(r.out, "");
  }
}

TEST_F(Run, AKilledRankEndsAllWithinTwoSecondsAndLeavesAWholeCheckpoint) {
  for (const int victim : {0, 2}) {
    const std::string saved = scratch_.file("weights" + std::to_string(victim));
    const auto job = startLong(3, "--strategy dp=3 --checkpoint-every 1 --checkpoint " + saved);
    EXPECT_TRUE(waitUntil([&] { return std::filesystem::exists(saved); }));
    const auto ranks = ranksOf(job->pid());
    ASSERT_EQ(ranks.size(), 3u);
    const auto begin = Clock::now();
    kill(ranks.at(victim), SIGKILL);
    EXPECT_EQ(job->wait(), 5);
    EXPECT_LT(secondsSince(begin), 2);
    const std::string died = "error: rank " + std::to_string(victim) + " died";
    EXPECT_THAT(job->errors(), AllOf(HasSubstr("[rank 1] " + died),
                                     HasSubstr("rank " + std::to_string(victim) +
                                               " was killed by signal 9 (Killed)")));
    for (const auto& [rank, pid] : ranks) EXPECT_NE(kill(pid, 0), 0) << "rank " << rank;
    const CommandResult resumed =
        runMeshplan("run mlp -b 48 --ranks 2 --steps 1 --resume " + saved);
    EXPECT_EQ(resumed.exitCode, 0) << resumed.err;
  }
}

TEST_F(Run, AStoppedRankIsReportedWithWhatItIsWaitedForAndMayGoOn) {
  const auto job = startLong(2, "--strategy dp=2");
  const pid_t victim = ranksOf(job->pid()).at(1);
  const auto begin = Clock::now();
  kill(victim, SIGSTOP);
  EXPECT_TRUE(waitUntil([&] {
    return contains(job->errors(), "straggler: rank 1 has not answered for");
  })) << job->errors();
  EXPECT_LT(secondsSince(begin), 10);
  EXPECT_THAT(job->errors(), HasSubstr("rank 0 waits in "));
  kill(victim, SIGCONT);
  EXPECT_TRUE(waitUntil([&] { return contains(job->errors(), "rank 1 answers again"); }));
  kill(job->pid(), SIGINT);
  EXPECT_EQ(job->wait(), 130) << job->errors();
}

TEST_F(Run, AnInterruptEndsAllRanksAfterTheStepAndSaves) {
  const std::string saved = scratch_.file("weights");
  const auto job = startLong(2, "--checkpoint " + saved);
  const auto ranks = ranksOf(job->pid());
  EXPECT_FALSE(std::filesystem::exists(saved));
  kill(job->pid(), SIGINT);
  EXPECT_EQ(job->wait(), 130) << job->errors();
  EXPECT_TRUE(std::filesystem::exists(saved));
  EXPECT_THAT(job->output(), HasSubstr("median step"));
  EXPECT_EQ(contains(job->errors(), "error"), false) << job->errors();
  for (const auto& [rank, pid] : ranks) EXPECT_NE(kill(pid, 0), 0) << "rank " << rank;
}

TEST_F(Run, ThreadsDoNotExceedTheCoresUnlessAsked) {
  const auto two = "taskset -c 0 " + kProgram + " run mlp -b 32 --steps 1 --ranks 2";
  for (const std::string launch : {"threads", "processes"}) {
    const auto shared = startCommand("shared", two + " --launch " + launch);
    EXPECT_EQ(shared->wait(), 0);
    EXPECT_THAT(shared->output(), HasSubstr("2 ranks of 1 thread:"));
    EXPECT_THAT(shared->errors(), HasSubstr("warning: 2 ranks of 1 thread share 1 core"));
  }
  const auto one = startCommand(
      "one", "taskset -c 0 " + kProgram + " run mlp -b 32 --steps 1 --ranks 1 --threads 2");
  EXPECT_EQ(one->wait(), 0);
  EXPECT_THAT(one->errors(), HasSubstr("warning: 1 rank of 2 threads shares 1 core"));
  const auto fits =
      startCommand("fits", "taskset -c 0 " + kProgram + " run mlp -b 32 --steps 1 --ranks 1");
  EXPECT_EQ(fits->wait(), 0);
  EXPECT_THAT(fits->errors(), Not(HasSubstr("warning")));
}

TEST_F(Run, TheTraceOfProcessesHasEveryStage) {
  const std::string trace = scratch_.file("trace.json");
  const CommandResult r = runMeshplan(
      "run mlp -b 32 --ranks 2 --strategy pp=2 --steps 2 --launch processes --trace " + trace);
  ASSERT_EQ(r.exitCode, 0) << r.err;
  std::ifstream in(trace);
  std::map<int, int> spansOfStage;
  const json document = json::parse(in);
  for (const json& event : document.at("traceEvents"))
    if (event.at("ph") == "X") ++spansOfStage[event.at("pid")];
  EXPECT_EQ(spansOfStage.size(), 2u);
}

}  // namespace
}  // namespace meshplan
