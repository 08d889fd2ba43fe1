// SPDX-License-Identifier: Apache-2.0
// What the command line does with good and bad input: exit codes, messages, streams.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/run_meshplan.h"

namespace meshplan {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

namespace fs = std::filesystem;

class CommandLine : public testing::Test {
 protected:
  CommandLine()
      : folder_(fs::path(testing::TempDir()) / ("meshplan-cli-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~CommandLine() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return path(name);
  }

 private:
  fs::path folder_;
};

/// Refused with one "error:" line, and perhaps a hint, and nothing on stdout.
void expectRefused(const std::string& arguments, int exitCode, const std::string& message) {
  const CommandResult r = runMeshplan(arguments);
  EXPECT_EQ(r.exitCode, exitCode) << arguments << "\n" << r.err;
  EXPECT_THAT(r.err, StartsWith("error: ")) << arguments;
  EXPECT_THAT(r.err, HasSubstr(message)) << arguments;
  EXPECT_EQ(r.out, "") << arguments;
}

TEST_F(CommandLine, NamesThatNobodyKnowsGetTheNearest) {
  expectRefused("paln mlp", 2, "did you mean 'plan'");
  expectRefused("plan mlp --cluter 8xH100-SXM", 2, "--cluster");
  expectRefused("inspect lama3-8b", 2, "llama3-8b");
  expectRefused("plan mlp --cluster 8xH100-SMX", 2, "H100-SXM");
}

TEST_F(CommandLine, WrongUsageIsRefused) {
  expectRefused("plan mlp", 2, "--cluster");
  expectRefused("plan mlp -c 2xL4 --seq 0", 2, "--seq");
  expectRefused("plan mlp -c 2xL4 --seq many", 2, "--seq");
  expectRefused("plan mlp -c 2xL4 --memory-limit 3", 2, "70GiB");
  expectRefused("plan mlp -c 2xL4 --dim batch", 2, "--dim");
  expectRefused("plan mlp -c 2xL4 --dim batch=-3", 2, "--dim");
  expectRefused("plan mlp -c 2xL4 --set hidden", 2, "--set");
  expectRefused("plan mlp -c 2xL4 --optimizer adan", 2, "adam");
  expectRefused("plan mlp -c 2xL4 --precision fp7", 2, "bf16");
  expectRefused("plan mlp -c 2xL4 --strategy tp=4,tp=8", 2, "tp");
  expectRefused("plan mlp -c 2xL4 --strategy tp=1,pq=2", 2, "pq");
  expectRefused("plan mlp -c 2xL4 --trace t.png", 2, ".pftrace");
  expectRefused("plan mlp -c 2xL4 --format yaml", 2, "yaml");
  expectRefused("simulate mlp -c 2xL4", 2, "--strategy");
  expectRefused("simulate mlp -c 2xL4 --strategy dp=3 -b 6", 2, "3");
  expectRefused("completion fish", 2, "fish");
}

TEST_F(CommandLine, BrokenFilesAreNamed) {
  expectRefused("inspect " + path("none.onnx"), 3, "none.onnx");
  expectRefused("inspect " + file("empty.onnx", ""), 3, "empty.onnx");
  expectRefused("inspect " + file("foreign.onnx", "GIF89a not a model at all"), 3, "foreign.onnx");
  expectRefused("inspect " + file("cut.json", "{\"model_type\": \"llama\","), 3, "cut.json");
  expectRefused("inspect " + file("list.json", "[1, 2]"), 3, "list.json");
  expectRefused("inspect " + file("deep.json", std::string(1000000, '[')), 3, "deep.json");
  expectRefused("plan mlp -c " + file("cut_cluster.json", "{\"schema_version\": 1,"), 3,
                "cut_cluster.json");
  expectRefused("plan mlp -c " + file("deep_cluster.json", std::string(1000000, '[')), 3,
                "deep_cluster.json");
  expectRefused("plan mlp -c " + path("none.json"), 3, "none.json");
  expectRefused("explain " + path("none.json"), 3, "none.json");
  expectRefused("explain " + file("plan.json", "{\"schema_version\": 99}"), 3, "schema_version");
}

TEST_F(CommandLine, NothingFitsIsFourAndNamesTheNearestMiss) {
  const CommandResult r = runMeshplan("plan gpt2-xl -c 2xL4 -b 2 --memory-limit 1GiB");
  EXPECT_EQ(r.exitCode, 4);
  EXPECT_THAT(r.err, HasSubstr("error: no plan fits"));
  EXPECT_THAT(r.err, HasSubstr("nearest miss"));
}

TEST_F(CommandLine, DataGoesToStdoutAndMessagesToStderr) {
  const CommandResult r = runMeshplan("plan mlp -c 2xL4 -b 64 --format json --top 2");
  ASSERT_EQ(r.exitCode, 0) << r.err;
  const json document = json::parse(r.out);
  EXPECT_EQ(document.at("schema_version"), 1);
  EXPECT_LE(document.at("plans").size(), 2u);
  EXPECT_THAT(r.err, HasSubstr("candidates"));
  EXPECT_EQ(r.err.find('\r'), std::string::npos);
  EXPECT_EQ((r.out + r.err).find('\x1b'), std::string::npos);
}

TEST_F(CommandLine, APlanHasEveryFigureOfTheSchema) {
  const CommandResult r = runMeshplan("plan gpt2 -c 4xA100-SXM-80GB -b 32 --format json");
  ASSERT_EQ(r.exitCode, 0) << r.err;
  const json document = json::parse(r.out);
  const json& best = document.at("plans").at(0);
  for (const char* key : {"strategy", "feasible", "step_time_seconds", "samples_per_second",
                          "tokens_per_second", "tflops_per_device", "mfu", "peak_memory_bytes",
                          "memory_by_category", "time_by_category", "provenance"})
    EXPECT_TRUE(best.contains(key)) << key;
  for (const char* key : {"evaluated", "wall_seconds", "baselines", "plans"})
    EXPECT_TRUE(document.contains(key)) << key;
  const double step = best.at("step_time_seconds");
  EXPECT_NEAR(best.at("samples_per_second").get<double>() * step, 32, 1e-6);
  const json& time = best.at("time_by_category");
  double sum = 0;
  for (const char* key : {"compute", "exposed_communication", "bubble", "optimizer"})
    sum += time.at(key).get<double>();
  EXPECT_NEAR(sum, step, 1e-6 * step);
  int64_t memory = 0;
  for (const auto& [name, bytes] : best.at("memory_by_category").items())
    memory += bytes.get<int64_t>();
  EXPECT_EQ(memory, best.at("peak_memory_bytes"));
  for (const json& baseline : document.at("baselines"))
    if (baseline.at("feasible")) {
      EXPECT_LE(step, baseline.at("step_time_seconds"));
    }
}

TEST_F(CommandLine, AWrittenPlanSimulatesToTheSameFigures) {
  const std::string plan = path("plan.json");
  const CommandResult planned = runMeshplan(
      "plan gpt2 -c 2x4xA100-SXM-80GB -b 32 --seq 512 --strategy 'tp=2' --gradient-dtype bf16 "
      "--runtime megatron --format json -o " +
      plan);
  ASSERT_EQ(planned.exitCode, 0) << planned.err;
  const CommandResult simulated =
      runMeshplan("simulate gpt2 -c 2x4xA100-SXM-80GB --seq 512 --format json --plan " + plan);
  ASSERT_EQ(simulated.exitCode, 0) << simulated.err;
  json a = json::parse(planned.out).at("plans").at(0),
       b = json::parse(simulated.out).at("plans").at(0);
  a.erase("label");
  b.erase("label");
  EXPECT_EQ(a, b);
  const CommandResult explained = runMeshplan("explain --format json " + plan);
  ASSERT_EQ(explained.exitCode, 0) << explained.err;
  // The explained run records spans and so adds the same durations in another order.
  EXPECT_DOUBLE_EQ(json::parse(explained.out).at("plan").at("step_time_seconds").get<double>(),
                   a.at("step_time_seconds").get<double>());
}

TEST_F(CommandLine, AShownStrategySimulatesToTheSameStep) {
  const CommandResult planned = runMeshplan("plan gpt2 -c 4xA100-SXM-80GB -b 32 --format json");
  ASSERT_EQ(planned.exitCode, 0) << planned.err;
  const json best = json::parse(planned.out).at("plans").at(0);
  const CommandResult simulated =
      runMeshplan("simulate gpt2 -c 4xA100-SXM-80GB -b 32 --format json --strategy " +
                  best.at("strategy").get<std::string>());
  ASSERT_EQ(simulated.exitCode, 0) << simulated.err;
  const json again = json::parse(simulated.out).at("plans").at(0);
  EXPECT_EQ(again.at("strategy"), best.at("strategy"));
  EXPECT_NEAR(again.at("step_time_seconds").get<double>(), best.at("step_time_seconds"),
              0.02 * best.at("step_time_seconds").get<double>());
}

TEST_F(CommandLine, APlanOfAnotherModelIsRefused) {
  const std::string plan = path("plan.json");
  ASSERT_EQ(runMeshplan("plan gpt2 -c 2xL4 -b 8 --seq 128 -o " + plan).exitCode, 0);
  expectRefused("simulate gpt2 -c 2xL4 --seq 256 --plan " + plan, 3, "another graph");
}

TEST_F(CommandLine, WhyNotTellsTheDifference) {
  const std::string plan = path("plan.json");
  ASSERT_EQ(runMeshplan("plan gpt2 -c 4xA100-SXM-80GB -b 32 -o " + plan).exitCode, 0);
  const CommandResult slower = runMeshplan("explain " + plan + " --why-not dp=1,tp=4");
  EXPECT_EQ(slower.exitCode, 0) << slower.err;
  EXPECT_THAT(slower.out, HasSubstr("slower"));
  const CommandResult impossible = runMeshplan("explain " + plan + " --why-not dp=3");
  EXPECT_EQ(impossible.exitCode, 0) << impossible.err;
  EXPECT_THAT(impossible.out, HasSubstr("cannot be"));
}

/// Whether the process has a handler for SIGINT by now.
bool catchesInterrupts(pid_t child) {
  std::ifstream status("/proc/" + std::to_string(child) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("SigCgt:", 0) == 0)
      return (std::stoull(line.substr(7), nullptr, 16) >> (SIGINT - 1) & 1) != 0;
  return false;
}

TEST_F(CommandLine, AnInterruptedSearchEndsSoonWith130) {
  const std::string errors = path("errors");
  const pid_t child = fork();
  if (child == 0) {
    const bool ready =
        std::freopen("/dev/null", "w", stdout) && std::freopen(errors.c_str(), "w", stderr);
    if (ready)
      execl(MESHPLAN_BINARY_DIR "/cli/meshplan", "meshplan", "plan", "gpt3-175b", "-c",
            "512x8xA100-SXM-80GB", "-b", "4096", nullptr);
    _exit(99);
  }
  ASSERT_GT(child, 0);
  int status = 0;
  pid_t ended = 0;
  while (!catchesInterrupts(child) && (ended = waitpid(child, &status, WNOHANG)) == 0) usleep(1000);
  ASSERT_EQ(ended, 0) << "it ended before it could be interrupted";
  kill(child, SIGINT);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  std::ifstream in(errors);
  const std::string messages((std::istreambuf_iterator<char>(in)), {});
  EXPECT_THAT(messages, HasSubstr("stopped early"));
}

TEST_F(CommandLine, TracesAreWritten) {
  const std::string trace = path("t.json"), perfetto = path("t.pftrace");
  ASSERT_EQ(runMeshplan("plan mlp -c 2xL4 -b 64 --trace " + trace).exitCode, 0);
  std::ifstream in(trace);
  EXPECT_FALSE(json::parse(in).at("traceEvents").empty());
  ASSERT_EQ(runMeshplan("simulate mlp -c 2xL4 -b 64 --strategy dp=2 --trace " + perfetto).exitCode,
            0);
  EXPECT_GT(fs::file_size(perfetto), 100u);
}

TEST_F(CommandLine, CompletionScriptsParse) {
  const CommandResult bash = runMeshplan("completion bash");
  ASSERT_EQ(bash.exitCode, 0);
  EXPECT_THAT(bash.out, HasSubstr("--global-batch"));
  EXPECT_EQ(std::system(("bash -n " + file("completion.sh", bash.out)).c_str()), 0);
}

TEST_F(CommandLine, HelpShowsExamplesFirst) {
  for (const char* command : {"", "plan", "simulate", "explain", "inspect", "models", "clusters"}) {
    const CommandResult r = runMeshplan(std::string(command) + " --help");
    EXPECT_EQ(r.exitCode, 0);
    EXPECT_LT(r.out.find("Examples:"), r.out.find("Usage:")) << command;
  }
}

}  // namespace
}  // namespace meshplan
