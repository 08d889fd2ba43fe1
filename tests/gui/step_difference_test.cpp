// SPDX-License-Identifier: Apache-2.0
#include "gui/models/step_difference.h"

#include <gtest/gtest.h>

#include <QAbstractItemModelTester>
#include <map>

#include "core/timeline_diff.h"
#include "gui/models/operator_difference.h"
#include "planner/search/search.h"
#include "tests/gui/synthetic_timeline.h"

namespace meshplan::gui {
namespace {

std::shared_ptr<const Document> document() {
  static const std::shared_ptr<const Document> opened = [] {
    OpenRequest request;
    request.model.source = "gpt";
    request.model.settings = {{"layers", "4"}, {"hidden", "256"}, {"heads", "4"}};
    request.model.sequence = 128;
    request.globalBatch = 16;
    return Document::open(request, [](const Notice&) {});
  }();
  return opened;
}

ComparedStep planned(const std::string& strategy, std::shared_ptr<const Document> of = document()) {
  const PlanReport report = evaluateStrategy(of->context(), 16, parseStrategy(strategy));
  return stepOf(showPlan(std::move(of), report.plan, "test"), "a plan");
}

// A step of parts.
struct Synthetic {
  explicit Synthetic(const SyntheticOptions& options) : parts(syntheticTimeline(options)) {
    step.program = &parts.program;
    step.timeline = &parts.timeline;
    step.graph = &graph;
  }
  SyntheticTimeline parts;
  Graph graph;
  ComparedStep step;
};

void expectAddsUp(const StepDifference& d) {
  Seconds first, second, difference;
  double shares = 0;
  for (const DifferenceRow& row : d.rows) {
    first += row.first.time;
    second += row.second.time;
    difference += row.difference();
    shares += row.share;
  }
  const double tolerance = 1e-9 * std::max(d.first.step, d.second.step).value;
  EXPECT_NEAR(first.value, d.first.step.value, tolerance);
  EXPECT_NEAR(second.value, d.second.step.value, tolerance);
  EXPECT_NEAR(d.first.total().value, d.first.step.value, tolerance);
  EXPECT_NEAR(d.second.total().value, d.second.step.value, tolerance);
  EXPECT_NEAR(difference.value, (d.second.step - d.first.step).value, tolerance);
  EXPECT_TRUE(std::abs(shares - 1) < 1e-9 || shares == 0);
}

const char* const kStrategies[] = {"pp=2,tp=2,mbs=1", "dp=8,mbs=2", "tp=4,mbs=4,sp=on",
                                   "pp=4,mbs=1,recompute=full", "dp=8,zero=3,mbs=1"};

TEST(StepDifference, RowsOfEveryPairOfPlansAddUpToTheirSteps) {
  for (const char* a : kStrategies)
    for (const char* b : kStrategies)
      for (const DifferenceOptions options :
           {DifferenceOptions{true, false}, {false, false}, {true, true}, {false, true}}) {
        SCOPED_TRACE(std::string(a) + " and " + b);
        const StepDifference d = differenceOf(planned(a), planned(b), options);
        EXPECT_TRUE(d.byIdentity);
        expectAddsUp(d);
      }
}

TEST(StepDifference, OfTheSlowestStageIsItsTimeByCategory) {
  const ComparedStep step = planned("pp=2,tp=2,mbs=1");
  const StepDifference d = differenceOf(step, step, {true, true});
  const TimeByCategory& time = step.plan->report.timeByCategory;
  const double tolerance = 1e-9 * d.first.step.value;
  EXPECT_NEAR(d.first.compute.value, time.compute.value, tolerance);
  EXPECT_NEAR(d.first.optimizer.value, time.optimizer.value, tolerance);
  EXPECT_NEAR(d.first.exposed.value, time.exposedCommunication.value, tolerance);
  EXPECT_NEAR(d.first.idle.value, time.bubble.value, tolerance);
  EXPECT_NEAR((d.first.exposed + d.first.hidden).value, time.communication.value, tolerance);
}

TEST(StepDifference, OfAStepWithItselfIsZero) {
  const StepDifference d = differenceOf(planned("pp=2,mbs=1"), planned("pp=2,mbs=1"), {});
  EXPECT_GT(d.rows.size(), 10u);
  for (const DifferenceRow& row : d.rows) {
    EXPECT_EQ(row.difference().value, 0) << row.name;
    EXPECT_EQ(row.share, 0);
  }
}

TEST(StepDifference, ChangesItsSignWhenTheStepsAreSwapped) {
  using Key = std::pair<std::string, std::string>;
  const auto differences = [](const ComparedStep& a, const ComparedStep& b) {
    std::map<Key, double> out;
    for (const DifferenceRow& row : differenceOf(a, b, {}).rows)
      out[{row.name, row.phase}] = row.difference().value;
    return out;
  };
  const ComparedStep a = planned("pp=2,tp=2,mbs=1"), b = planned("dp=8,zero=3,mbs=1");
  const auto there = differences(a, b), back = differences(b, a);
  ASSERT_EQ(there.size(), back.size());
  for (const auto& [key, difference] : there) EXPECT_EQ(difference, -back.at(key)) << key.first;
}

TEST(StepDifference, ShowsWhatOnlyOneStepHas) {
  const StepDifference d =
      differenceOf(planned("dp=8,mbs=2"), planned("pp=4,mbs=1,recompute=full"), {});
  bool recomputes = false, transfers = false;
  for (const DifferenceRow& row : d.rows) {
    EXPECT_TRUE(row.first.present || row.second.present);
    recomputes |= row.phase == "recompute" && !row.first.present && row.second.present;
    transfers |= row.kind == SpanKind::transfer && !row.first.present && row.second.present;
  }
  EXPECT_TRUE(recomputes);
  EXPECT_TRUE(transfers);
}

TEST(StepDifference, UnfoldedRowsAreOneForwardOperatorEach) {
  const ComparedStep a = planned("pp=2,tp=2,mbs=1"), b = planned("dp=8,mbs=2");
  const StepDifference whole = differenceOf(a, b, {false, false}), folded = differenceOf(a, b, {});
  EXPECT_GT(whole.rows.size(), folded.rows.size());
  for (const DifferenceRow& row : whole.rows)
    if (row.kind != SpanKind::update) {
      EXPECT_LE(row.operators.size(), 1u) << row.name;
    }
  bool several = false;
  for (const DifferenceRow& row : folded.rows) several |= row.operators.size() == 4;
  EXPECT_TRUE(several);
}

TEST(StepDifference, AlignsDifferentModelsByName) {
  OpenRequest request;
  request.model.source = "gpt";
  request.model.settings = {{"layers", "6"}, {"hidden", "256"}, {"heads", "4"}};
  request.model.sequence = 128;
  request.globalBatch = 16;
  const auto deeper = Document::open(request, [](const Notice&) {});
  const StepDifference d =
      differenceOf(planned("dp=8,mbs=2"), planned("dp=8,mbs=2", deeper), {true, false});
  EXPECT_FALSE(d.byIdentity);
  expectAddsUp(d);
  size_t both = 0;
  for (const DifferenceRow& row : d.rows) both += row.first.present && row.second.present;
  EXPECT_EQ(both, d.rows.size());
}

TEST(StepDifference, TellsWhereTimesComeFrom) {
  const StepDifference d = differenceOf(planned("dp=8,mbs=2"), planned("tp=4,mbs=4"), {});
  for (const DifferenceRow& row : d.rows)
    if (row.first.time.value > 0 && row.kind == SpanKind::forward) {
      EXPECT_TRUE(row.first.evidence.known()) << row.name;
      EXPECT_TRUE(row.first.evidence.text().contains("analytic")) << row.name;
      EXPECT_TRUE(row.first.evidence.text().contains("±")) << row.name;
    }
}

TEST(StepDifference, SpansBeyondTheStepAreTold) {
  Synthetic a({.stages = 2, .spans = 2000}), b({.stages = 2, .spans = 2000});
  b.parts.timeline.stepTime *= 0.8;
  const StepDifference d = differenceOf(a.step, b.step, {});
  expectAddsUp(d);
  EXPECT_LT(d.second.beyond.value, 0);
  EXPECT_EQ(d.first.beyond.value, 0);
}

TEST(StepDifference, OfSyntheticStepsAgreesWithTheirCategories) {
  Synthetic a({.stages = 3, .spans = 3000}), b({.stages = 3, .spans = 9000});
  const StepDifference d = differenceOf(a.step, b.step, {});
  expectAddsUp(d);
  TimeByCategory mean;
  for (size_t c = 0; c < 3; ++c) {
    const TimeByCategory t = timeByCategory(a.parts.program, a.parts.timeline, c);
    mean.compute += t.compute / 3;
    mean.bubble += t.bubble / 3;
  }
  EXPECT_NEAR(d.first.compute.value, mean.compute.value, 1e-9 * d.first.step.value);
  EXPECT_NEAR(d.first.idle.value, mean.bubble.value, 1e-9 * d.first.step.value);
}

TEST(OperatorDifference, IsAProperModelThatSortsByNumbers) {
  OperatorDifference table;
  const QAbstractItemModelTester tester(&table,
                                        QAbstractItemModelTester::FailureReportingMode::Fatal);
  table.setDifference(differenceOf(planned("pp=2,tp=2,mbs=1"), planned("dp=8,zero=3,mbs=1"), {}));
  ASSERT_GT(table.rowCount(), 10);
  double largest = 0;
  for (int r = 0; r < table.rowCount(); ++r) {
    for (int c = 0; c < table.columnCount(); ++c)
      if (c != OperatorDifference::phase) {
        EXPECT_FALSE(table.index(r, c).data().toString().isEmpty());
      }
    EXPECT_FALSE(table.index(r, 0).data(Qt::ToolTipRole).toString().isEmpty());
    const double bar = table.index(r, 0).data(OperatorDifference::kBarRole).toDouble();
    EXPECT_LE(std::abs(bar), 1);
    largest = std::max(largest, std::abs(bar));
  }
  EXPECT_EQ(largest, 1);
  const DifferenceRow& row = table.shown().rows.front();
  if (!row.operators.empty()) {
    table.setSelected({row.operators.front()});
    EXPECT_TRUE(table.isSelected(0));
  }
  EXPECT_TRUE(headline(table.shown()).contains("instead of"));
  EXPECT_TRUE(totalsText(table.shown()).contains("= step"));
  table.setDifference({});
  EXPECT_EQ(table.rowCount(), 0);
}

TEST(EvidenceSum, TellsSharesAndCarriesErrorsAlong) {
  EvidenceSum sum;
  EXPECT_TRUE(sum.text().isEmpty());
  sum.add(3, TimeEvidence{Provenance::measured, 0.02});
  EXPECT_EQ(sum.text().toStdString(), "measured, ± 2.0 %");
  sum.add(1, TimeEvidence{Provenance::analytic, 0.1});
  EXPECT_EQ(sum.text().toStdString(), "75.0 % measured, 25.0 % analytic, ± 4.0 %");
  EXPECT_EQ(sum.provenance(), Provenance::measured);
  EvidenceSum unknown;
  unknown.add(1, TimeEvidence{Provenance::analytic, -1});
  EXPECT_EQ(unknown.text().toStdString(), "analytic");
  unknown.add(1, std::nullopt);
  EXPECT_EQ(unknown.text().toStdString(), "analytic");
}

}  // namespace
}  // namespace meshplan::gui
