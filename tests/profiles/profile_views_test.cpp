// SPDX-License-Identifier: Apache-2.0
// The views that docs/formats.md describes, through plain SQL.
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <sstream>

#include "profiles/profile_store.h"
#include "tests/profiles/measurement_examples.h"
#include "tests/scratch_folder.h"

namespace meshplan {
namespace {

class ProfileViews : public testing::Test {
 protected:
  std::string value(const std::string& query) {
    SQLite::Database database(folder_.file("p.db"));
    return database.execAndGet(query).getString();
  }

  const ScratchFolder folder_;
  ProfileStore store_{folder_.file("p.db")};
};

TEST_F(ProfileViews, OperatorTimesSayWhatWasReached) {
  OperatorMeasurement m = exampleOperator(3);
  m.environment.device = "chip";
  m.work.flops = 8e9;
  m.work.bytes = 2e6;
  m.samples.median = Seconds(0.5);
  m.source.time = 86400;
  store_.add(std::vector{m});
  EXPECT_EQ(value("SELECT flops_per_second || ' ' || bytes_per_second || ' ' || device || ' ' || "
                  "measured_at FROM v_op_time"),
            "16000000000.0 4000000.0 chip 1970-01-02 00:00:00");
  EXPECT_EQ(value("SELECT operator FROM v_op_time"), m.work.def->name);
}

TEST_F(ProfileViews, CollectiveTimesSayTheirBandwidth) {
  CollectiveMeasurement m = exampleCollective(3);
  m.kind = CollectiveKind::allReduce;
  m.bytes = Bytes(1000);
  m.samples.median = Seconds(0.25);
  store_.add(std::vector{m});
  EXPECT_EQ(value("SELECT collective || ' ' || bytes_per_second FROM v_collective_time"),
            std::string(collectiveName(m.kind)) + " 4000.0");
}

TEST_F(ProfileViews, ErrorsAreOfStepsAndOfInstructionsByName) {
  RunMeasurement run = exampleRun(1), unpredicted = exampleRun(2);
  run.step.median = Seconds(2);
  run.predictedStep = Seconds(3);
  unpredicted.predictedStep = Seconds(0);
  const auto instruction = [](uint32_t i, const char* name, double busy, double predicted) {
    return InstructionMeasurement{
        0, 0, i, {}, Seconds(busy), Seconds(busy), name, Seconds(predicted)};
  };
  const int64_t id =
      store_.add(run, {instruction(0, "MatMul", 1, 2), instruction(1, "MatMul", 3, 4),
                       instruction(2, "Relu", 1, 0)});
  store_.add(unpredicted, {});
  EXPECT_EQ(value("SELECT group_concat(run_id || ' ' || level || ' ' || name || ' ' || "
                  "instructions || ' ' || relative_error, '; ') FROM v_error"),
            fmt::format("{0} step step 1 0.5; {0} instruction MatMul 2 0.5", id));
  EXPECT_EQ(value("SELECT count(*) FROM v_run"), "2");
  EXPECT_EQ(value("SELECT count(*) FROM v_run WHERE relative_error IS NULL"), "1");
  EXPECT_EQ(value("SELECT relative_error FROM v_run WHERE predicted_seconds = 3"), "0.5");
}

TEST_F(ProfileViews, TheQueriesOfTheManualWork) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    store_.add(std::vector{exampleOperator(seed)});
    CollectiveMeasurement c = exampleCollective(seed);
    c.kind = CollectiveKind::allReduce;
    store_.add(std::vector{c});
    store_.add(exampleRun(seed), exampleInstructions(seed));
  }
  std::stringstream manual;
  manual << std::ifstream(MESHPLAN_SOURCE_DIR "/docs/formats.md").rdbuf();
  std::string text = manual.str();
  text = text.substr(text.find("## Profiles"));
  text = text.substr(text.find("```sql") + 6);
  text = text.substr(0, text.find("```"));
  int queries = 0;
  SQLite::Database database(folder_.file("p.db"));
  for (size_t end = 0; (end = text.find(';')) != std::string::npos; text = text.substr(end + 1)) {
    SQLite::Statement query(database, text.substr(0, end + 1));
    EXPECT_TRUE(query.executeStep()) << text.substr(0, end);
    ++queries;
  }
  EXPECT_EQ(queries, 3);
}

}  // namespace
}  // namespace meshplan
