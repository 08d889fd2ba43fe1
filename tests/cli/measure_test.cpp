// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "profiles/profile_store.h"
#include "tests/run_meshplan.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

using nlohmann::json;

class Measure : public testing::Test {
 protected:
  json measure(const std::string& arguments) {
    const CommandResult r = runMeshplan(
        fmt::format("measure mlp -b 64 --profiles '{}' --format json {}", store(), arguments));
    EXPECT_EQ(r.exitCode, 0) << r.err;
    return json::parse(r.out);
  }
  std::string store() const { return folder_.file("profiles.db"); }

 private:
  ScratchFolder folder_;
};

TEST_F(Measure, StoresWhatThePlansNeedAndSkipsItTheNextTime) {
  const json first = measure("--ranks 2 --plans 2");
  EXPECT_GT(first["wanted"], 20);
  EXPECT_EQ(first["known_before"], 0);
  EXPECT_EQ(first["not_measured"], 0);
  EXPECT_GT(first["plans"].size(), 0u);
  EXPECT_LT(first["recording_overhead"], 0.2);

  const ProfileStore rows(store(), ProfileStore::Access::read);
  ASSERT_FALSE(rows.operators().empty());
  EXPECT_FALSE(rows.collectives().empty());
  EXPECT_EQ(rows.devices().size(), 1u);
  std::set<std::string> operators;
  for (const OperatorMeasurement& row : rows.operators()) {
    EXPECT_GT(row.samples.median.value, 0);
    EXPECT_GE(row.samples.median, row.samples.minimum);
    operators.emplace(row.work.def->name);
  }
  EXPECT_TRUE(operators.count("Linear"));
  EXPECT_TRUE(operators.count("Update"));

  // What is known now makes other plans look better, and these need little more.
  const json again = measure("--ranks 2 --plans 2");
  EXPECT_GT(again["known_before"], again["wanted"].get<int>() / 2);
  EXPECT_EQ(again["not_measured"], 0);
}

TEST_F(Measure, StopsWhenTheBudgetIsUsedUpAndGoesOnLater) {
  const json first = measure("--ranks 2 --plans 4 --budget 0.01");
  EXPECT_GT(first["not_measured"], 0);
  const json second = measure("--ranks 2 --plans 4");
  EXPECT_EQ(second["not_measured"], 0);
}

TEST_F(Measure, APlanForThisMachineUsesWhatWasMeasured) {
  measure("--ranks 2 --plans 2");
  const std::string plan = "plan mlp -b 64 --precision fp32 --cluster local:2 --format json ";
  const CommandResult learned = runMeshplan(plan + "--profiles " + store());
  ASSERT_EQ(learned.exitCode, 0) << learned.err;
  const json report = json::parse(learned.out);
  EXPECT_EQ(report["cluster"]["devices"], 2);
  const ProfileStore rows(store(), ProfileStore::Access::read);
  EXPECT_EQ(report["cluster"]["device"], rows.devices().front().device.name);
  // The device was measured once: planning again gives the same.
  const json again = json::parse(runMeshplan(plan + "--profiles " + store()).out);
  EXPECT_EQ(again["plans"], report["plans"]);
}

TEST_F(Measure, RefusesWhatItCannotDo) {
  const CommandResult nowhere = runMeshplan("measure mlp --profiles none");
  EXPECT_EQ(nowhere.exitCode, 2);
  EXPECT_NE(nowhere.err.find("--profiles FILE"), std::string::npos);
  for (const char* cluster : {"local:", "local:0", "local:two", "local:4x"}) {
    const CommandResult r = runMeshplan(fmt::format("plan mlp --cluster {}", cluster));
    EXPECT_EQ(r.exitCode, 2) << cluster;
    EXPECT_NE(r.err.find("local:4"), std::string::npos) << r.err;
  }
}

}  // namespace
}  // namespace meshplan
