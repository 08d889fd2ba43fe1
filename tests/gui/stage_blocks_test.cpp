// SPDX-License-Identifier: Apache-2.0
// Which layer is on which stage, how long it takes, and what moving it does.
#include "gui/models/stage_blocks.h"

#include <gtest/gtest.h>

#include <QApplication>
#include <QMouseEvent>
#include <QPushButton>
#include <QSignalSpy>
#include <QTest>

#include "gui/models/strategy_choices.h"
#include "gui/views/pin_button.h"
#include "gui/views/stages_view.h"
#include "gui/views/what_if_view.h"
#include "planner/search/stages.h"
#include "tests/gui/open_model.h"

namespace meshplan::gui {
namespace {

class Stages : public testing::Test {
 protected:
  void SetUp() override {
    OpenRequest request = smallGpt(8, 512, 64);
    session.open(request);
    ASSERT_TRUE(settled());
    show("pp=4,mbs=2");
  }
  bool settled() { return gui::settled(session); }
  void show(const QString& strategy) {
    session.tryStrategy(strategy, "try");
    ASSERT_TRUE(settled());
  }
  /// Presses at one point, moves and releases at another.
  void drag(StagesView& view, QPointF from, QPointF to) {
    QTest::mousePress(&view, Qt::LeftButton, {}, from.toPoint());
    for (const QPointF at : {(from + to) / 2, to}) {
      QMouseEvent move(QEvent::MouseMove, at, view.mapToGlobal(at), Qt::NoButton, Qt::LeftButton,
                       Qt::NoModifier);
      QApplication::sendEvent(&view, &move);
    }
    QTest::mouseRelease(&view, Qt::LeftButton, {}, to.toPoint());
  }
  std::vector<int64_t> counts() const {
    return blocksPerChunk(session.shown()->report.plan.chunkStarts);
  }
  StagesView* shownView() {
    view = std::make_unique<StagesView>(session, selection);
    view->resize(900, 300);
    view->show();
    return view.get();
  }

  Session session;
  Selection selection;
  std::unique_ptr<StagesView> view;
  QSignalSpy failures{&session, &Session::failed};
};

TEST_F(Stages, HoldEveryBlockOnceWithItsTime) {
  const StageBlocks blocks(*session.shown());
  ASSERT_EQ(blocks.chunks().size(), 4u);
  EXPECT_EQ(blocks.blocks().size(), session.document()->model().chain.blocks.size());
  int64_t next = 0;
  Seconds all(0), chunks(0);
  for (const StageChunk& chunk : blocks.chunks()) {
    EXPECT_EQ(chunk.first, next);
    next = chunk.end;
    chunks += chunk.time;
    for (int64_t b = chunk.first; b < chunk.end; ++b)
      EXPECT_EQ(blocks.chunkOf(b), &chunk - blocks.chunks().data());
  }
  for (const StageBlock& block : blocks.blocks()) all += block.time;
  EXPECT_EQ(next, std::ssize(blocks.blocks()));
  EXPECT_NEAR(all.value, chunks.value, 1e-12);
}

TEST_F(Stages, TakeAsLongAsTheirStageComputes) {
  const StageBlocks blocks(*session.shown());
  const Program& program = session.shown()->simulated.program;
  const Timeline& timeline = session.shown()->simulated.timeline;
  for (const StageChunk& chunk : blocks.chunks()) {
    const TimeByCategory& time = timeline.rankClasses[size_t(chunk.stage)].time;
    const double ofAll = chunk.time.value * double(program.microBatches);
    EXPECT_NEAR(ofAll / time.compute.value, 1, 0.02) << chunk.stage;
  }
}

TEST_F(Stages, AreChangedByDraggingALayer) {
  StagesView* stages = shownView();
  const std::vector<int64_t> before = counts();
  const int64_t last = stages->blocks().chunks()[1].end - 1;
  drag(*stages, stages->block(last).center(), stages->row(2).center());
  ASSERT_TRUE(QTest::qWaitFor([&] { return counts() != before; }, kWaitMs));
  EXPECT_EQ(counts()[1], before[1] - 1);
  EXPECT_EQ(counts()[2], before[2] + 1);
  EXPECT_TRUE(session.shown()->cutByHand);
  EXPECT_NE(session.shown()->strategy().find("stages="), std::string::npos);
  session.edits().undo();
  EXPECT_EQ(counts(), before);
  EXPECT_FALSE(session.shown()->cutByHand);
}

TEST_F(Stages, AreNotChangedByADropInTheSameRowOrOutside) {
  StagesView* stages = shownView();
  const std::vector<int64_t> before = counts();
  const int edits = session.edits().count();
  drag(*stages, stages->block(3).center(), stages->block(4).center());
  drag(*stages, stages->block(3).center(), QPointF(10, 2));
  EXPECT_FALSE(session.busy());
  EXPECT_EQ(counts(), before);
  EXPECT_EQ(session.edits().count(), edits);
}

TEST_F(Stages, RefuseToBeLeftEmpty) {
  StagesView* stages = shownView();
  const std::vector<int64_t> before = counts();
  drag(*stages, stages->block(0).center(), stages->row(3).center());
  ASSERT_EQ(failures.count(), 1);
  EXPECT_TRUE(failures.at(0).at(0).toString().contains("without a block"));
  EXPECT_EQ(counts(), before);
  EXPECT_TRUE(stages->blocks().moveText(0, 3).contains("without a layer"));
}

TEST_F(Stages, AreChangedByKeys) {
  StagesView* stages = shownView();
  const std::vector<int64_t> before = counts();
  QTest::keyClick(stages, Qt::Key_Down);  // the first layer of the second stage
  const int64_t first = stages->blocks().chunks()[1].first;
  const Block& block = session.document()->model().chain.blocks[size_t(first)];
  ASSERT_FALSE(selection.operators().empty());
  EXPECT_EQ(selection.operators().front(), OpId(block.begin));
  QTest::keyClick(stages, Qt::Key_Up, Qt::ControlModifier);
  ASSERT_TRUE(QTest::qWaitFor([&] { return counts() != before; }, kWaitMs));
  EXPECT_EQ(counts()[0], before[0] + 1);
}

TEST_F(Stages, StayMovedWhenSomethingElseIsChanged) {
  session.moveLayer(blocksPerChunk(session.shown()->report.plan.chunkStarts)[0] - 1, 1);
  ASSERT_TRUE(settled());
  const std::vector<int64_t> moved = counts();
  for (const StrategyChoice& choice : strategyChoices(*session.shown()))
    for (const StrategyOption& option : choice.options)
      if (choice.key == "zero" && option.value == "1") show(option.strategy);
  EXPECT_EQ(session.shown()->report.plan.zeroStage, 1);
  EXPECT_EQ(counts(), moved);
  EXPECT_TRUE(session.shown()->cutByHand);
  show("pp=2,mbs=2");
  EXPECT_FALSE(session.shown()->cutByHand);
}

TEST_F(Stages, GoBackToThePlannersByAButton) {
  const std::vector<int64_t> before = counts();
  WhatIfView whatIf(session, selection);
  EXPECT_EQ(whatIf.findChild<QPushButton*>("plannedStages"), nullptr);
  session.moveLayer(before[0] - 1, 1);
  ASSERT_TRUE(settled());
  auto* back = whatIf.findChild<QPushButton*>("plannedStages");
  ASSERT_NE(back, nullptr);
  back->click();
  ASSERT_TRUE(settled());
  EXPECT_EQ(counts(), before);
}

TEST_F(Stages, OfOneStageSaySo) {
  show("mbs=2");
  StagesView* stages = shownView();
  ASSERT_EQ(stages->blocks().chunks().size(), 1u);
  drag(*stages, stages->block(2).center(), stages->block(2).center() + QPointF(0, 80));
  EXPECT_EQ(failures.count(), 0);
  EXPECT_FALSE(session.busy());
}

TEST_F(Stages, OfInterleavedPlansHaveARowPerPart) {
  show("pp=2,vpp=2,mbs=2,schedule=interleaved");
  const StageBlocks blocks(*session.shown());
  ASSERT_EQ(blocks.chunks().size(), 4u);
  EXPECT_EQ(blocks.chunks()[2].stage, 0);
  EXPECT_NE(blocks.chunks()[2].name, blocks.chunks()[0].name);
}

class Pins : public Stages {};

TEST_F(Pins, KeepAChoiceInSearches) {
  WhatIfView whatIf(session, selection);
  auto* pin = whatIf.findChild<PinButton*>("pin:pp");
  ASSERT_NE(pin, nullptr);
  pin->click();
  EXPECT_EQ(session.constraintsText(), "pp=4");
  EXPECT_FALSE(session.foundIsCurrent());
  session.startSearch();
  ASSERT_TRUE(settled());
  ASSERT_FALSE(session.found().plans.empty());
  EXPECT_TRUE(session.foundIsCurrent());
  for (const PlanReport& r : session.found().plans) EXPECT_EQ(r.plan.mesh.pipeline, 4);
  EXPECT_TRUE(whatIf.findChild<PinButton*>("pin:pp")->isChecked());
}

TEST_F(Pins, AreUndoneAndDropped) {
  session.constrain("tp", "2");
  session.constrain("zero", "1");
  EXPECT_EQ(session.constraintsText(), "tp=2,zero=1");
  session.edits().undo();
  EXPECT_EQ(session.constraintsText(), "tp=2");
  session.constrain("tp", {});
  EXPECT_TRUE(session.constraints().empty());
  session.edits().undo();
  EXPECT_EQ(session.constraintsText(), "tp=2");
}

TEST_F(Pins, ThatMeanNothingAreRefused) {
  session.constrain("tp", "many");
  EXPECT_EQ(failures.count(), 1);
  EXPECT_TRUE(session.constraints().empty());
}

TEST_F(Pins, KeepMovedLayersInSearches) {
  const std::vector<int64_t> before = counts();
  session.moveLayer(before[0] - 1, 1);
  ASSERT_TRUE(settled());
  const std::vector<int64_t> moved = counts();
  session.constrain(
      "stages", QString::fromStdString(stagesText(session.shown()->report.plan)).section('=', 1));
  session.startSearch();
  ASSERT_TRUE(settled());
  EXPECT_EQ(counts(), moved);
  EXPECT_TRUE(session.shown()->cutByHand);
}

}  // namespace
}  // namespace meshplan::gui
