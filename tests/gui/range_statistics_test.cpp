// SPDX-License-Identifier: Apache-2.0
#include "gui/models/range_statistics.h"

#include <gtest/gtest.h>

#include <QAbstractItemModelTester>
#include <random>

#include "core/timeline_diff.h"
#include "gui/models/range_table.h"
#include "tests/gui/synthetic_timeline.h"

namespace meshplan::gui {
namespace {

RangeStatistics of(const SyntheticTimeline& s, TimeRange range,
                   const std::vector<size_t>& classes = {}) {
  return statisticsOf(s.program, Graph(), s.timeline, range, classes, false);
}

TEST(RangeStatistics, OfAWholeStepAreItsTimeByCategory) {
  const SyntheticTimeline s = syntheticTimeline({.stages = 3, .spans = 3000});
  for (size_t c = 0; c < 3; ++c) {
    const RangeStatistics got = of(s, {Seconds(0), s.timeline.stepTime}, {c});
    const TimeByCategory expected = timeByCategory(s.program, s.timeline, c);
    const double tolerance = 1e-9 * s.timeline.stepTime.value;
    EXPECT_NEAR(got.compute.value, expected.compute.value, tolerance);
    EXPECT_NEAR(got.exposed.value, expected.exposedCommunication.value, tolerance);
    EXPECT_NEAR(got.idle.value, expected.bubble.value, tolerance);
    EXPECT_NEAR(got.communication.value, expected.communication.value, tolerance);
  }
}

TEST(RangeStatistics, SharesAddUpToTheRange) {
  const SyntheticTimeline s = syntheticTimeline({.stages = 4, .spans = 4000});
  std::mt19937 random(2);
  std::uniform_real_distribution<double> at(0, s.timeline.stepTime.value);
  for (int round = 0; round < 50; ++round) {
    double begin = at(random), end = at(random);
    if (begin > end) std::swap(begin, end);
    const RangeStatistics got = of(s, {Seconds(begin), Seconds(end)});
    const Seconds sum = got.compute + got.optimizer + got.exposed + got.idle;
    EXPECT_NEAR(sum.value, end - begin, 1e-9 * s.timeline.stepTime.value);
  }
}

TEST(RangeStatistics, PartsOfAStepAddUpToIt) {
  const SyntheticTimeline s = syntheticTimeline({.stages = 2, .spans = 2000});
  const Seconds end = s.timeline.stepTime, middle = 0.37 * end;
  const RangeStatistics whole = of(s, {Seconds(0), end});
  const RangeStatistics first = of(s, {Seconds(0), middle}), second = of(s, {middle, end});
  const double tolerance = 1e-9 * end.value;
  EXPECT_NEAR(whole.compute.value, (first.compute + second.compute).value, tolerance);
  EXPECT_NEAR(whole.exposed.value, (first.exposed + second.exposed).value, tolerance);
  EXPECT_NEAR(whole.idle.value, (first.idle + second.idle).value, tolerance);
}

TEST(RangeStatistics, RowsHaveTheTimeOfTheirSpans) {
  const SyntheticTimeline s = syntheticTimeline({.stages = 1, .spans = 1000});
  const TimeRange range{0.2 * s.timeline.stepTime, 0.6 * s.timeline.stepTime};
  double expected = 0, got = 0;
  for (const Span& span : s.timeline.spans)
    expected +=
        std::max(0.0, (std::min(span.end, range.end) - std::max(span.start, range.begin)).value);
  const RangeStatistics statistics = of(s, range);
  for (size_t i = 0; i < statistics.rows.size(); ++i) {
    got += statistics.rows[i].time.value;
    if (i > 0) {
      EXPECT_GE(statistics.rows[i - 1].time, statistics.rows[i].time);
    }
  }
  EXPECT_NEAR(got, expected, 1e-9 * expected);
}

TEST(RangeStatistics, MeasuredRowsHaveWhatWasPredictedForTheSameInstructions) {
  const SyntheticTimeline s = syntheticTimeline({.stages = 2, .spans = 2000});
  Timeline measured = s.timeline;
  for (Span& span : measured.spans) span.start *= 1.25, span.end *= 1.25;
  measured.stepTime *= 1.25;
  // Everywhere in the step, and in pieces of it.
  for (const auto& [from, to] : {std::pair(0.0, 1.0), std::pair(0.3, 0.5), std::pair(0.9, 1.0)}) {
    const RangeStatistics got = statisticsOf(s.program, Graph(), measured,
                                             {from * measured.stepTime, to * measured.stepTime}, {},
                                             true, {nullptr, &s.timeline});
    ASSERT_FALSE(got.rows.empty());
    for (const RangeRow& row : got.rows) {
      ASSERT_TRUE(row.predicted);
      EXPECT_NEAR(row.predicted->value * 1.25, row.time.value, 1e-5 * row.time.value) << row.name;
    }
  }
}

TEST(RangeStatistics, LayersAreFoldedByTheirNumbers) {
  EXPECT_EQ(foldedName("model.layers.8.mlp.gate_up_proj"), "model.layers.*.mlp.gate_up_proj");
  EXPECT_EQ(foldedName("/layer1/layer1.0/conv2/Conv"), "/layer1/layer1.*/conv2/Conv");
  EXPECT_EQ(foldedName("fc1"), "fc1");
}

TEST(RangeTable, IsAProperModelThatSortsByNumbers) {
  const SyntheticTimeline s = syntheticTimeline({.stages = 2, .spans = 1000});
  RangeTable table;
  const QAbstractItemModelTester tester(&table,
                                        QAbstractItemModelTester::FailureReportingMode::Fatal);
  table.setRows(of(s, {Seconds(0), s.timeline.stepTime}).rows);
  ASSERT_GT(table.rowCount(), 3);
  EXPECT_FALSE(table.index(0, RangeTable::name).data().toString().isEmpty());
  EXPECT_GE(table.index(0, RangeTable::time).data(RangeTable::kSortRole).toDouble(),
            table.index(1, RangeTable::time).data(RangeTable::kSortRole).toDouble());
  EXPECT_FALSE(table.measured());
  EXPECT_EQ(table.headerData(RangeTable::time, Qt::Horizontal, Qt::DisplayRole), "Time");
  table.setRows(statisticsOf(s.program, Graph(), s.timeline, {Seconds(0), s.timeline.stepTime}, {},
                             true, {nullptr, &s.timeline})
                    .rows);
  EXPECT_TRUE(table.measured());
  EXPECT_EQ(table.headerData(RangeTable::time, Qt::Horizontal, Qt::DisplayRole), "Measured");
  EXPECT_TRUE(table.index(0, RangeTable::error).data().toString().endsWith("0.0 %"));
  EXPECT_TRUE(table.index(0, 0).data(Qt::ToolTipRole).toString().contains("predicted"));
  table.setSelected({OpId(0)});
  table.setRows({});
  EXPECT_EQ(table.rowCount(), 0);
}

}  // namespace
}  // namespace meshplan::gui
