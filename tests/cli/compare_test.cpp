// SPDX-License-Identifier: Apache-2.0
// `meshplan run` stores what was predicted and measured, and `meshplan compare` shows it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

std::string textOf(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

class Compare : public testing::Test {
 protected:
  CommandResult run(const std::string& arguments) const {
    return runMeshplan("run mlp -b 32 --steps 6 --profiles " + store() + " " + arguments);
  }
  CommandResult compare(const std::string& arguments) const {
    return runMeshplan("compare --profiles " + store() + " " + arguments);
  }
  json compareJson(const std::string& arguments) const {
    const CommandResult result = compare(arguments + " --format json");
    EXPECT_EQ(result.exitCode, 0) << result.err;
    return json::parse(result.out, nullptr, false);
  }
  std::string store() const { return scratch_.file("profiles.db"); }

  ScratchFolder scratch_;
};

double sharesOf(const json& rows) {
  double sum = 0;
  for (const json& row : rows) sum += row.at("share").get<double>();
  return sum;
}

TEST_F(Compare, OfARunOnOneAndOnTwoRanksAddsUp) {
  for (const std::string ranks :
       {"--ranks 1", "--ranks 2 --strategy dp=2", "--ranks 2 --strategy pp=2,mbs=8"}) {
    const CommandResult ran = run(ranks);
    ASSERT_EQ(ran.exitCode, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("predicted "));
    const json c = compareJson("last --top 1000");
    const json& step = c.at("step");
    EXPECT_GT(step.at("measured_seconds"), 0);
    EXPECT_NEAR(
        step.at("relative_error").get<double>(),
        step.at("predicted_seconds").get<double>() / step.at("measured_seconds").get<double>() - 1,
        1e-9);
    EXPECT_EQ(step.at("warm_up_steps"), 3);
    const double predicted = step.at("predicted_seconds"), measured = step.at("measured_seconds");
    EXPECT_EQ(step.at("inside_interval").get<bool>(),
              step.at("interval_seconds")[0].get<double>() <= measured &&
                  measured <= step.at("interval_seconds")[1].get<double>());
    EXPECT_NEAR(sharesOf(c.at("operators")), 1, 1e-9);
    double operators = 0;
    for (const json& o : c.at("operators")) {
      operators += o.at("predicted_seconds").get<double>();
      EXPECT_THAT(o.at("provenance"), testing::AnyOf("measured", "interpolated", "analytic"));
    }
    double stages = 0;
    for (const json& s : c.at("stages")) {
      stages += s.at("compute").at("predicted_seconds").get<double>() +
                s.at("optimizer").at("predicted_seconds").get<double>();
      EXPECT_NEAR(s.at("busy").at("predicted_seconds").get<double>() +
                      s.at("bubble").at("predicted_seconds").get<double>(),
                  predicted, 1e-6 * predicted + 1e-9);
    }
    EXPECT_NEAR(operators, stages, 1e-9);
    EXPECT_EQ(c.at("peak_memory").at("planned_bytes"), c.at("peak_memory").at("measured_bytes"));
    EXPECT_GT(c.at("peak_memory").at("measured_bytes"), 0);
    EXPECT_EQ(c.at("collectives").empty(), ranks == "--ranks 1");
  }
}

TEST_F(Compare, PrintsEveryFormat) {
  ASSERT_EQ(run("--ranks 1").exitCode, 0);
  const CommandResult table = compare("1"), csv = compare("1 --format csv"),
                      markdown = compare("1 --format markdown");
  EXPECT_THAT(table.out, HasSubstr("Run 1: mlp"));
  EXPECT_THAT(table.out, HasSubstr("backward weight"));
  EXPECT_EQ(csv.out.substr(0, csv.out.find('\n')),
            "section,name,detail,calls,predicted_seconds,measured_seconds,relative_error,share,"
            "provenance");
  EXPECT_THAT(csv.out, HasSubstr("\noperator,fc1,forward,"));
  EXPECT_THAT(markdown.out, HasSubstr("| operators"));
}

TEST_F(Compare, TheGateLetsPassOrExitsWithSix) {
  ASSERT_EQ(run("--ranks 1").exitCode, 0);
  EXPECT_EQ(compare("last --max-error 1000000%").exitCode, 0);
  const CommandResult refused = compare("last --max-error 0");
  EXPECT_EQ(refused.exitCode, 6);
  EXPECT_THAT(refused.err, HasSubstr("allows less"));
  EXPECT_EQ(compare("last --max-error ten").exitCode, 2);
}

TEST_F(Compare, TheTraceHasPairedTracksAndErrors) {
  ASSERT_EQ(run("--ranks 2 --strategy pp=2,mbs=8").exitCode, 0);
  const std::string file = scratch_.file("both.json");
  ASSERT_EQ(compare("last --trace " + file).exitCode, 0);
  const json trace = json::parse(textOf(file));
  std::map<int64_t, std::string> tracks;
  std::map<std::string, int> slices;
  int errors = 0;
  for (const json& e : trace.at("traceEvents"))
    if (e.at("name") == "thread_name") tracks[e.at("tid")] = e.at("args").at("name");
  for (const json& e : trace.at("traceEvents")) {
    if (e.at("ph") != "X") continue;
    const std::string track = tracks.at(e.at("tid"));
    ++slices[track.substr(track.find("· ") + 3)];
    if (e.at("args").contains("error_percent")) ++errors;
  }
  EXPECT_GT(errors, 0);
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(slices.at("predicted"), slices.at("measured"));
}

TEST_F(Compare, FindsTheNewestRunOfAPlanOrRunsIt) {
  const std::string plan = scratch_.file("plan.json");
  ASSERT_EQ(
      runMeshplan("plan mlp -c 2xCPU -b 32 --precision fp32 --strategy dp=2 -o " + plan).exitCode,
      0);
  EXPECT_EQ(compare(plan).exitCode, 3) << "there is no store yet";
  ASSERT_EQ(run("--ranks 1").exitCode, 0);
  EXPECT_THAT(compare(plan).err, HasSubstr("no stored run is of this plan"));
  ASSERT_EQ(compare(plan + " --steps 4").exitCode, 0);
  EXPECT_EQ(compareJson(plan).at("run"), 2);
  ASSERT_EQ(runMeshplan("run --steps 4 --profiles " + store() + " " + plan).exitCode, 0);
  EXPECT_EQ(compareJson(plan).at("run"), 3);
  EXPECT_EQ(compareJson(plan + " --again").at("predicted_again"), true);
}

TEST_F(Compare, ProcessesAreRecordedToo) {
  const CommandResult ran = run("--ranks 2 --launch processes --strategy dp=2");
  ASSERT_EQ(ran.exitCode, 0) << ran.err;
  const json c = compareJson("last");
  EXPECT_EQ(c.at("transport"), "sockets");
  EXPECT_EQ(c.at("ranks"), 2);
  EXPECT_FALSE(c.at("collectives").empty());
}

TEST_F(Compare, MpisRanksAreRecordedToo) {
  if (std::system("mpirun --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "there is no mpirun";
  const CommandResult ran = runInRepository(
      "env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe -n 2 " +
      std::string(MESHPLAN_BINARY_DIR) + "/cli/meshplan run mlp -b 32 --steps 6 --strategy dp=2 " +
      "--profiles " + store());
  ASSERT_EQ(ran.exitCode, 0) << ran.err;
  const json c = compareJson("last");
  EXPECT_THAT(c.at("transport"), testing::AnyOf("mpi", "sockets"));
  EXPECT_EQ(c.at("ranks"), 2);
}

TEST_F(Compare, WithoutProfileNothingIsStored) {
  const CommandResult ran = run("--ranks 1 --no-profile");
  ASSERT_EQ(ran.exitCode, 0) << ran.err;
  EXPECT_THAT(ran.out, Not(HasSubstr("predicted ")));
  EXPECT_THAT(compare("last").err, HasSubstr("the store holds no runs"));
}

TEST_F(Compare, ARunGoesOnWithoutItsStore) {
  const std::string file = scratch_.file("file");
  std::ofstream(file) << "not a folder";
  const CommandResult ran = runMeshplan("run mlp -b 32 --steps 4 --profiles " + file + "/p.db");
  EXPECT_EQ(ran.exitCode, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("goes on without a profile store"));
  EXPECT_THAT(ran.out, HasSubstr("predicted "));
}

}  // namespace
}  // namespace meshplan
