// SPDX-License-Identifier: Apache-2.0
// `meshplan profiles` on stores that the test fills.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "profiles/profile_store.h"
#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using nlohmann::json;

class Profiles : public testing::Test {
 protected:
  Profiles() {
    ProfileStore store(file("p.db"));
    store.add(std::vector{row("chip A", 1), row("chip A", 2), row("chip B", 3)});
    CollectiveMeasurement c;
    c.environment = {"chip A", "f", "l"};
    c.source = {Origin::measured, "test", 86400};
    c.transport = "threads";
    c.bytes = Bytes(4096);
    c.samples = {5, 0, Seconds(1e-3), Seconds(1e-5), Seconds(9e-4)};
    store.add(std::vector{c});
    RunMeasurement run;
    run.environment = c.environment;
    run.source = {Origin::run, "a run", 86400};
    run.model = "gpt2";
    run.strategy = "dp=2";
    run.step = {5, 0, Seconds(2), Seconds(0.1), Seconds(1.9)};
    run.predictedStep = Seconds(1.5);
    store.add(run, {{0, 0, 7, Seconds(0), Seconds(1), Seconds(0.5)}});
  }

  static OperatorMeasurement row(const std::string& device, int seed) {
    OperatorMeasurement m;
    m.environment = {device, "f", "l"};
    m.source = {Origin::measured, "a, \"test\"", 86400};
    m.work.def = &operatorDef("MatMul");
    m.work.flops = 1000.0 * seed;
    m.types = "f32[2,2] f32[2,2] -> f32[2,2]";
    m.samples = {9, 1, Seconds(0.001 * seed), Seconds(1e-4), Seconds(5e-4)};
    return m;
  }
  std::string file(const std::string& name) const { return folder_.file(name); }
  CommandResult profiles(const std::string& arguments, const std::string& store = "p.db") const {
    return runMeshplan(fmt::format("profiles {} --profiles {}", arguments, file(store)));
  }
  std::string contents(const std::string& name) const {
    std::stringstream text;
    text << std::ifstream(file(name)).rdbuf();
    return text.str();
  }

  const ScratchFolder folder_;
};

TEST_F(Profiles, ListsDevicesWithCountsAndDates) {
  const CommandResult table = profiles("list");
  EXPECT_EQ(table.exitCode, 0) << table.err;
  EXPECT_NE(table.out.find("chip A"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("1970-01-02"), std::string::npos);
  const json list = json::parse(profiles("list --format json").out).at("environments");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].at("device"), "chip A");
  EXPECT_EQ(list[0].at("operators"), 2);
  EXPECT_EQ(list[0].at("collectives"), 1);
  EXPECT_EQ(list[0].at("runs"), 1);
  EXPECT_EQ(list[1].at("operators"), 1);
}

TEST_F(Profiles, ListsShippedOnesToo) {
  const std::string command =
      "MESHPLAN_SHIPPED_PROFILES=" + file("") + " " MESHPLAN_BINARY_DIR "/cli/meshplan";
  const CommandResult list =
      runInRepository(command + " profiles list --profiles none --format json");
  EXPECT_EQ(list.exitCode, 0) << list.err;
  EXPECT_EQ(json::parse(list.out).at("environments").size(), 2u);
}

TEST_F(Profiles, ListsNothingWhenThereIsNoStore) {
  const CommandResult none = profiles("list", "none.db");
  EXPECT_EQ(none.exitCode, 0) << none.err;
  EXPECT_EQ(none.out, "");
  EXPECT_NE(none.err.find("nothing is measured yet"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(file("none.db")));
}

TEST_F(Profiles, ShowsTheRowsOfADevice) {
  const CommandResult table = profiles("show 'chip A'");
  EXPECT_EQ(table.exitCode, 0) << table.err;
  for (const char* text : {"MatMul", "all-reduce", "gpt2", "-25.0 %"})
    EXPECT_NE(table.out.find(text), std::string::npos) << text << "\n" << table.out;
  EXPECT_EQ(table.out.find("chip B"), std::string::npos);
  const json rows = json::parse(profiles("show 'chip A' --format json").out);
  EXPECT_EQ(rows.at("operators").size(), 2u);
  EXPECT_EQ(rows.at("operators")[1].at("median_seconds"), 0.002);
  EXPECT_EQ(rows.at("operators")[1].at("work").at("flops"), 2000);
  EXPECT_EQ(rows.at("runs")[0].at("instructions")[0].at("busy_seconds"), 0.5);
  const CommandResult csv = profiles("show 'chip B' --rows operators --format csv");
  EXPECT_NE(csv.out.find("MatMul,forward,\"f32[2,2] f32[2,2] -> f32[2,2]\""), std::string::npos)
      << csv.out;
  EXPECT_NE(csv.out.find("\"a, \"\"test\"\"\""), std::string::npos) << csv.out;
  const CommandResult unknown = profiles("show 'chip C'");
  EXPECT_EQ(unknown.exitCode, 3);
  EXPECT_NE(unknown.err.find("chip C"), std::string::npos);
  EXPECT_EQ(profiles("show --format csv").exitCode, 2);
}

TEST_F(Profiles, MergesTwiceWithoutAddingAnything) {
  const CommandResult first = profiles("merge " + file("p.db"), "sum.db");
  EXPECT_EQ(first.exitCode, 0) << first.err;
  EXPECT_NE(first.out.find("3 operator times, 1 collective times, 1 runs and 0 devices are new"),
            std::string::npos)
      << first.out;
  const CommandResult second = profiles("merge " + file("p.db"), "sum.db");
  EXPECT_NE(second.out.find("0 operator times, 0 collective times, 0 runs and 0 devices are new"),
            std::string::npos)
      << second.out;
  folder_.write("bad.db", "no database");
  const CommandResult bad = profiles("merge " + file("bad.db"), "sum.db");
  EXPECT_EQ(bad.exitCode, 3);
  EXPECT_NE(bad.err.find("not a profile database"), std::string::npos) << bad.err;
}

TEST_F(Profiles, ExportsToEachFormat) {
  EXPECT_EQ(profiles("export " + file("all.json")).exitCode, 0);
  EXPECT_EQ(json::parse(contents("all.json")).at("operators").size(), 3u);
  EXPECT_EQ(profiles("export " + file("b.csv") + " --device 'chip B' --rows operators").exitCode,
            0);
  const std::string csv = contents("b.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 2) << csv;
  EXPECT_EQ(profiles("export " + file("a.db") + " --device 'chip A'").exitCode, 0);
  const ProfileStore copy(file("a.db"), ProfileStore::Access::read);
  EXPECT_EQ(copy.operators().size(), 2u);
  EXPECT_EQ(copy.runs().size(), 1u);
  EXPECT_EQ(profiles("export " + file("a.db")).exitCode, 2);
  EXPECT_EQ(profiles("export " + file("a.txt")).exitCode, 2);
  EXPECT_EQ(profiles("export " + file("a.csv")).exitCode, 2);
}

}  // namespace
}  // namespace meshplan
