// SPDX-License-Identifier: Apache-2.0
#include "gui/models/step_lag.h"

#include <gtest/gtest.h>

#include <QImage>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <random>

#include "core/timeline_diff.h"
#include "gui/models/step_difference.h"
#include "gui/views/lag_paint.h"
#include "planner/search/search.h"
#include "tests/gui/synthetic_timeline.h"

namespace meshplan::gui {
namespace {

std::shared_ptr<const Document> document(const Scenario& scenario = {}) {
  static const std::shared_ptr<const Document> opened = [] {
    OpenRequest request;
    request.model.source = "gpt";
    request.model.settings = {{"layers", "4"}, {"hidden", "256"}, {"heads", "4"}};
    request.model.sequence = 128;
    request.globalBatch = 16;
    return Document::open(request, [](const Notice&) {});
  }();
  return scenario == Scenario{} ? opened : opened->in(scenario);
}

ComparedStep planned(const std::string& strategy, const Scenario& scenario = {}) {
  auto of = document(scenario);
  const PlanReport report = evaluateStrategy(of->context(), 16, parseStrategy(strategy));
  return stepOf(showPlan(std::move(of), report.plan, "test"), "a plan");
}

double sum(const TimeBySpending& t) {
  return std::accumulate(t.begin(), t.end(), 0.0);
}

TEST(SpentTime, AddsUpToTheTimeThatHasPassed) {
  for (const char* strategy :
       {"pp=2,tp=2,mbs=1", "dp=8,zero=3,mbs=1", "pp=4,recompute=full,mbs=1"}) {
    const ComparedStep step = planned(strategy);
    for (size_t c = 0; c < step.program->rankClasses.size(); ++c) {
      const SpentTime spent(*step.program, *step.timeline, c);
      const double end = step.timeline->stepTime.value;
      EXPECT_NEAR(spent.end(), end, 1e-9 * end);
      std::mt19937 random(3);
      std::uniform_real_distribution<double> at(0, end);
      for (int i = 0; i < 100; ++i) {
        const double t = at(random);
        EXPECT_NEAR(sum(spent.by(t)), t, 1e-9 * end);
        const auto [from, to] = spent.when(spent.workDone(t));
        EXPECT_LE(from, t + 1e-9 * end);
        EXPECT_GE(to, t - 1e-9 * end);
      }
      EXPECT_NEAR(sum(spent.by(2 * end)), end, 1e-9 * end);
    }
  }
}

TEST(SpentTime, OfAWholeStepIsItsTimeByCategory) {
  const ComparedStep step = planned("pp=2,tp=2,mbs=1,recompute=full");
  for (size_t c = 0; c < 2; ++c) {
    const TimeByCategory expected = timeByCategory(*step.program, *step.timeline, c);
    const TimeBySpending got = SpentTime(*step.program, *step.timeline, c).by(1e9);
    const double tolerance = 1e-9 * step.timeline->stepTime.value;
    EXPECT_NEAR(got[0] + got[1], expected.compute.value, tolerance);
    EXPECT_NEAR(got[1], expected.recompute.value, tolerance);
    EXPECT_GT(got[1], 0);
    EXPECT_NEAR(got[2], expected.optimizer.value, tolerance);
    EXPECT_NEAR(got[3], expected.exposedCommunication.value, tolerance);
    EXPECT_NEAR(got[4], expected.bubble.value, tolerance);
  }
}

TEST(StepLag, AddsUpToHowFarTheSecondIsBehindAndEndsAtTheDifferenceOfTheSteps) {
  const ComparedStep a = planned("dp=8,mbs=2"), b = planned("pp=4,mbs=1,recompute=full");
  for (const auto& [first, second] : {std::pair(a, b), std::pair(b, a)}) {
    const StepLag lag = lagOf(first, 0, second, 0);
    EXPECT_TRUE(lag.points.empty());
    const double end = second.timeline->stepTime.value, tolerance = 1e-9 * end;
    double before = -1;
    for (int i = 0; i <= 200; ++i) {
      const double t = end * i / 200, there = lag.firstTime(t);
      EXPECT_NEAR(sum(lag.difference(t)), t - there, tolerance);
      EXPECT_GE(there, before - tolerance);
      EXPECT_NEAR(lag.first.workDone(there), lag.second.workDone(t), 1e-6);
      before = there;
    }
    EXPECT_NEAR(lag.firstTime(0), 0, tolerance);
    EXPECT_NEAR(lag.firstTime(end), first.timeline->stepTime.value, tolerance);
  }
}

TEST(StepLag, OfAStepWithItselfIsZeroEverywhere) {
  const ComparedStep step = planned("pp=2,tp=2,mbs=1");
  const StepLag lag = lagOf(step, 1, step, 1);
  ASSERT_FALSE(lag.points.empty());
  for (const LagPoint& p : lag.points) {
    EXPECT_EQ(p.behind, 0);
    EXPECT_EQ(p.first, p.second);
  }
  const double end = step.timeline->stepTime.value;
  for (int i = 0; i <= 100; ++i)
    for (double v : lag.difference(end * i / 100)) EXPECT_NEAR(v, 0, 1e-9 * end);
}

TEST(StepLag, OfOneProgramOnSlowerLinksGrowsInstructionByInstruction) {
  const ComparedStep fast = planned("tp=4,dp=2,mbs=2"),
                     slow = planned("tp=4,dp=2,mbs=2", Scenario{1, 0.1, {}});
  ASSERT_TRUE(sameProgram(*fast.program, *slow.program));
  ASSERT_TRUE(sameModel(fast, slow));
  const StepLag lag = lagOf(fast, 0, slow, 0);
  size_t spans = 0;
  for (const Span& s : slow.timeline->spans) spans += s.stream == Stream::compute;
  EXPECT_EQ(lag.points.size(), spans + 1);
  EXPECT_NEAR(lag.points.back().behind, (slow.timeline->stepTime - fast.timeline->stepTime).value,
              1e-12);
  EXPECT_GT(lag.points.back().behind, 0);
  EXPECT_GT(lag.difference(1e9)[size_t(Spending::exposed)], 0);
  EXPECT_FALSE(sameProgram(*fast.program, *planned("dp=8,mbs=2").program));
}

// Both steps are looked at beside the interface, which then draws every frame.
TEST(StepLag, OfAMillionSpansIsMadeSoonAndDrawnAtOnce) {
  SyntheticTimeline a = syntheticTimeline({.spans = 1'000'000}), b = a;
  for (Span& s : b.timeline.spans) s.start *= 1.1, s.end *= 1.1;
  b.timeline.stepTime *= 1.1;
  const Graph graph;
  ComparedStep first, second;
  first.graph = second.graph = &graph;
  first.program = &a.program;
  first.timeline = &a.timeline;
  second.program = &b.program;
  second.timeline = &b.timeline;
  const auto milliseconds = [](const auto& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
        .count();
  };
  StepLag lag;
  const double summed =
      milliseconds([&] { EXPECT_GT(differenceOf(first, second, {}).rows.size(), 8u); });
  const double made = milliseconds([&] { lag = lagOf(first, 7, second, 7); });
  EXPECT_FALSE(lag.points.empty());
  StepLag lines = lag;
  lines.points.clear();
  QImage image(1920, 200, QImage::Format_RGB32);
  QPainter painter(&image);
  const TimeScale scale{0, b.timeline.stepTime.value, 0, 1920};
  for (const StepLag* drawn : {&lag, &lines}) {
    const double painted =
        milliseconds([&] { paintLag(painter, image.rect(), scale, *drawn, QPalette()); });
    std::printf("summed up in %.0f ms, made in %.0f ms, drawn in %.1f ms\n", summed, made, painted);
    EXPECT_LT(painted, 100);
  }
}

}  // namespace
}  // namespace meshplan::gui
