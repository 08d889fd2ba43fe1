// SPDX-License-Identifier: Apache-2.0
#include "gui/models/plan_table.h"

#include <gtest/gtest.h>

#include <QAbstractItemModelTester>

namespace meshplan::gui {
namespace {

PlanReport report(const std::string& strategy, double seconds, int64_t gib, int64_t tensor) {
  PlanReport r;
  r.strategy = strategy;
  r.stepTime = Seconds(seconds);
  r.peakMemory = Bytes(gib * kGiB);
  r.plan.mesh.tensor = tensor;
  r.feasible = true;
  return r;
}

SearchResult found() {
  SearchResult result;
  result.plans = {report("a", 1.0, 60, 2), report("b", 2.0, 30, 8)};
  result.pareto = {report("a", 1.0, 60, 2), report("c", 3.0, 20, 4)};
  result.baselines = {report("b", 2.0, 30, 8)};
  result.baselines.front().label = "FSDP";
  return result;
}

TEST(PlanTable, HoldsEveryStrategyOnceAndNamesBaselines) {
  PlanTable table;
  QAbstractItemModelTester tester(&table);
  table.show(found(), true);
  EXPECT_EQ(table.rowCount(), 3);
  EXPECT_EQ(table.report(table.rowOf("b")).label, "FSDP");
  EXPECT_EQ(table.rowOf("d"), -1);
}

TEST(PlanTable, SortsByNumbersAndNotByText) {
  PlanTable table;
  table.show(found(), true);
  PlanFilter filter;
  QAbstractItemModelTester tester(&filter);
  filter.setSourceModel(&table);
  filter.sort(PlanTable::memory, Qt::AscendingOrder);
  EXPECT_EQ(filter.index(0, PlanTable::memory).data().toString(), "20.0 GiB");
  EXPECT_EQ(filter.index(2, PlanTable::memory).data().toString(), "60.0 GiB");
}

TEST(PlanFilter, ComparesDegreesMemoryAndLooksForWords) {
  PlanTable table;
  table.show(found(), true);
  PlanFilter filter;
  filter.setSourceModel(&table);
  const auto rows = [&](const QString& text) {
    filter.setText(text);
    return filter.rowCount();
  };
  EXPECT_EQ(rows(""), 3);
  EXPECT_EQ(rows("tp<=4"), 2);
  EXPECT_EQ(rows("tp<=4 mem<30"), 1);
  EXPECT_EQ(rows("step>1500"), 2);
  EXPECT_EQ(rows("fsdp"), 1);
  EXPECT_EQ(rows("nothing-like-that"), 0);
}

}  // namespace
}  // namespace meshplan::gui
