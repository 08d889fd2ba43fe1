// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/import/load_model.h"
#include "planner/analytic_cost.h"
#include "planner/memory_model.h"
#include "planner/search/search.h"
#include "profiles/load_cluster.h"
#include "profiles/profile_store.h"
#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

constexpr const char* kCluster = "1xA100-SXM-80GB";
constexpr const char* kArguments =
    "simulate mlp -c 1xA100-SXM-80GB -b 64 --strategy dp=1,mbs=64 --runtime native";

/// The operators of that step, each `factor` times as slow as the formula says.
std::vector<OperatorMeasurement> slowerBy(double factor, int64_t time) {
  ModelRequest request;
  request.source = "mlp";
  TrainingOptions options;
  options.runtime = RuntimeKind::native;
  const TrainingModel training = prepareTraining(loadModel(request), options);
  const Cluster cluster = loadCluster(kCluster);
  const AnalyticCost cost(cluster.specs().front(), RuntimeKind::native);
  const PlanContext context(training, cluster, cost, usableMemory(cluster.specs().front()));
  const PlanReport report = evaluateStrategy(context, 64, parseStrategy("dp=1,mbs=64"));
  std::vector<OperatorMeasurement> rows;
  for (const OperatorWork& work : simulatePlan(context, report.plan, {}).program.work) {
    const double seconds = cost.operatorTime(work).time.value * factor;
    if (seconds <= 0) continue;
    OperatorMeasurement row;
    row.environment = {cluster.specs().front().name, "", "kernels 1"};
    row.source = {Origin::measured, "test", time};
    row.work = work;
    row.types = "bf16[]";
    row.samples = {20, 0, Seconds(seconds), Seconds(seconds / 100), Seconds(seconds)};
    rows.push_back(row);
  }
  return rows;
}

nlohmann::json planOf(const CommandResult& r) {
  EXPECT_EQ(r.exitCode, 0) << r.err;
  return nlohmann::json::parse(r.out)["plans"][0];
}

TEST(ProfiledPlanning, AStepOfMeasuredOperatorsTakesWhatTheyTakeAndSaysSo) {
  const ScratchFolder folder;
  const std::string path = folder.file("profiles.db");
  ProfileStore(path).add(slowerBy(3, 1000));
  const std::string json = fmt::format("{} --format json", kArguments);
  const nlohmann::json before = planOf(runMeshplan(json));
  const nlohmann::json after = planOf(runMeshplan(fmt::format("{} --profiles {}", json, path)));
  EXPECT_EQ(before["provenance"], "analytic");
  EXPECT_EQ(after["provenance"], "measured");
  EXPECT_GT(double(after["time_by_provenance"]["measured"]), 0.95);
  EXPECT_NEAR(double(after["step_time_seconds"]) / double(before["step_time_seconds"]), 3, 0.01);
  EXPECT_LT(double(after["uncertainty"]), double(before["uncertainty"]));
  const CommandResult table = runMeshplan(fmt::format("{} --profiles {}", kArguments, path));
  EXPECT_NE(table.out.find("Times are measured ("), std::string::npos) << table.out;
  EXPECT_EQ(table.err.find("contradict"), std::string::npos) << table.err;
}

TEST(ProfiledPlanning, ContradictionsAreToldInOneLine) {
  const ScratchFolder folder;
  const std::string path = folder.file("profiles.db");
  ProfileStore(path).add(slowerBy(6, 1000));
  ProfileStore(path).add(slowerBy(3, 2000));
  const CommandResult r = runMeshplan(fmt::format("{} --profiles {}", kArguments, path));
  EXPECT_EQ(r.exitCode, 0);
  EXPECT_NE(r.err.find("measurements contradict those that count, e.g. "), std::string::npos)
      << r.err;
  EXPECT_NE(r.err.find("meshplan profiles show"), std::string::npos);
}

TEST(ProfiledPlanning, OnlyANamedStoreMustBeThereAndSound) {
  const ScratchFolder folder;
  const std::string broken = folder.write("broken.db", "no database"),
                    none = folder.file("none.db");
  const std::string binary = fmt::format("'{}/cli/meshplan' {}", MESHPLAN_BINARY_DIR, kArguments);
  for (const std::string& path : {broken, none}) {
    const CommandResult named = runMeshplan(fmt::format("{} --profiles {}", kArguments, path));
    EXPECT_NE(named.exitCode, 0);
    EXPECT_NE(named.err.find(path), std::string::npos) << named.err;
    const CommandResult own =
        runInRepository(fmt::format("MESHPLAN_PROFILES='{}' {}", path, binary));
    EXPECT_EQ(own.exitCode, 0) << own.err;
    EXPECT_NE(own.out.find("Times are analytic"), std::string::npos);
    EXPECT_EQ(own.err.find("without its") != std::string::npos, path == broken) << own.err;
  }
}

}  // namespace
}  // namespace meshplan
