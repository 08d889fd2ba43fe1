// SPDX-License-Identifier: Apache-2.0
// The open document, its search and its edits, without a window.
#include "gui/session.h"

#include <gtest/gtest.h>

#include <QElapsedTimer>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>
#include <fstream>

#include "gui/models/mesh_cells.h"
#include "gui/models/strategy_choices.h"
#include "tests/gui/open_model.h"

namespace meshplan::gui {
namespace {

class OpenSession : public testing::Test {
 protected:
  void open(const OpenRequest& request = smallGpt()) {
    session.open(request);
    ASSERT_TRUE(settled());
    ASSERT_EQ(failures.count(), 0) << failures.at(0).at(0).toString().toStdString();
  }
  bool settled() { return gui::settled(session); }

  Session session;
  QSignalSpy failures{&session, &Session::failed};
};

TEST_F(OpenSession, SearchesAndShowsTheBest) {
  open();
  ASSERT_FALSE(session.found().plans.empty());
  EXPECT_EQ(session.shown()->report.strategy, session.found().plans.front().strategy);
  EXPECT_NEAR(session.shown()->report.stepTime / session.found().plans.front().stepTime, 1, 1e-9);
  EXPECT_FALSE(session.shown()->simulated.timeline.spans.empty());
  EXPECT_TRUE(session.search().complete);
}

TEST_F(OpenSession, UndoesAndRedoesWhatWasTried) {
  open();
  const std::string best = session.shown()->report.strategy;
  session.tryStrategy("tp=2,pp=2", "try");
  ASSERT_TRUE(QTest::qWaitFor([&] { return session.shown()->report.strategy != best; }, kWaitMs));
  const std::string tried = session.shown()->report.strategy;
  session.edits().undo();
  EXPECT_EQ(session.shown()->report.strategy, best);
  session.edits().redo();
  EXPECT_EQ(session.shown()->report.strategy, tried);
}

TEST_F(OpenSession, KeepsWhatItHasWhenAFileIsBroken) {
  open();
  const auto before = session.shown();
  QTemporaryDir folder;
  const QString path = folder.filePath("broken.onnx");
  std::ofstream(path.toStdString()) << "this is no model";
  session.openFile(path);
  ASSERT_TRUE(QTest::qWaitFor([&] { return failures.count() > 0; }, kWaitMs));
  EXPECT_TRUE(failures.at(0).at(0).toString().contains("broken.onnx"));
  EXPECT_EQ(session.shown(), before);
}

TEST_F(OpenSession, TellsWhyAStrategyCannotBe) {
  open();
  session.tryStrategy("tp=3", "try");
  ASSERT_TRUE(QTest::qWaitFor([&] { return failures.count() > 0; }, kWaitMs));
  EXPECT_FALSE(failures.at(0).at(0).toString().isEmpty());
  EXPECT_FALSE(session.busy());
}

TEST_F(OpenSession, DropsTheResultOfACancelledSearch) {
  open();
  QSignalSpy found(&session, &Session::foundChanged);
  session.startSearch();
  session.cancelSearch();
  EXPECT_FALSE(session.search().running);
  session.tryStrategy("tp=4", "try");
  ASSERT_TRUE(
      QTest::qWaitFor([&] { return session.shown()->report.plan.mesh.tensor == 4; }, kWaitMs));
  QTest::qWait(50);
  EXPECT_EQ(found.count(), 0);
}

TEST_F(OpenSession, StopsASearchWithTheBestSoFar) {
  OpenRequest request;
  request.model.source = "gpt3-175b";
  request.cluster = "128x8xA100-SXM-80GB";
  request.globalBatch = 1536;
  session.open(request);
  Seconds best(0);
  QObject::connect(&session, &Session::searchChanged, [&] {
    if (session.search().best.value > 0) best = session.search().best;
    if (session.search().running && best.value > 0) session.stopSearch();
  });
  ASSERT_TRUE(settled());
  ASSERT_FALSE(session.found().plans.empty());
  EXPECT_FALSE(session.search().complete);
  EXPECT_LE(session.found().plans.front().stepTime, best);
  EXPECT_EQ(failures.count(), 0);
}

TEST_F(OpenSession, ASlowerClusterMakesASlowerStep) {
  OpenRequest request;
  request.model.source = "llama3-8b";
  open(request);
  session.tryStrategy("tp=8", "try");
  ASSERT_TRUE(
      QTest::qWaitFor([&] { return session.shown()->report.plan.mesh.tensor == 8; }, kWaitMs));
  const Seconds before = session.shown()->report.stepTime;
  session.tryScenario({.network = 1, .fabric = 0.25, .device = ""});
  ASSERT_TRUE(QTest::qWaitFor([&] { return session.shown()->report.stepTime != before; }, kWaitMs));
  EXPECT_GT(session.shown()->report.stepTime, before);
  session.edits().undo();
  EXPECT_EQ(session.shown()->report.stepTime, before);
}

TEST_F(OpenSession, AWhatIfOn64DevicesTakesATenthOfASecond) {
  OpenRequest request;
  request.model.source = "llama3-8b";
  request.cluster = "64xH100-SXM";
  request.globalBatch = 512;
  open(request);
  QElapsedTimer timer;
  std::vector<qint64> took;
  for (const char* strategy : {"tp=2,mbs=1,zero=1", "tp=4,mbs=1,zero=1", "tp=8,mbs=1,zero=1",
                               "tp=4,pp=2,mbs=1,zero=1", "tp=2,pp=2,mbs=1,zero=1"}) {
    const auto before = session.shown();
    timer.start();
    session.tryStrategy(strategy, "try");
    ASSERT_TRUE(QTest::qWaitFor([&] { return session.shown() != before; }, kWaitMs));
    took.push_back(timer.elapsed());
  }
  std::sort(took.begin(), took.end());
  printf("a new simulation on 64 devices: median %lld ms, slowest %lld ms\n",
         static_cast<long long>(took[2]), static_cast<long long>(took[4]));
  RecordProperty("median_ms", static_cast<int>(took[2]));
  EXPECT_LT(took[2], 1000);  // a loaded machine; the goal is 100
}

TEST_F(OpenSession, TheMeshHasACellForEveryRank) {
  open();
  session.tryStrategy("tp=2,pp=2", "try");
  ASSERT_TRUE(
      QTest::qWaitFor([&] { return session.shown()->report.plan.mesh.pipeline == 2; }, kWaitMs));
  const MeshCells cells(*session.shown());
  EXPECT_EQ(cells.rows(), 2);
  EXPECT_EQ(cells.columns(), 4);
  const std::vector<MeshLink> links = cells.links(0);
  ASSERT_EQ(links.size(), 3u);
  EXPECT_EQ(links[0].ranks, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(links[1].ranks, (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(links[2].ranks, (std::vector<int64_t>{0, 4}));
  for (const MeshLink& link : links) EXPECT_FALSE(link.leavesNode);
  EXPECT_GT(cells.value(0, MeshCells::ColourBy::memory), 0);
  EXPECT_TRUE(cells.toolTip(5).contains("rank 5"));
}

TEST_F(OpenSession, LinksOfARankTellWhatItSendsOverWhat) {
  OpenRequest request = smallGpt();
  request.cluster = "2x4xA100-SXM-80GB";
  open(request);
  session.tryStrategy("tp=2,dp=4,zero=0,mbs=2", "try");
  ASSERT_TRUE(
      QTest::qWaitFor([&] { return session.shown()->report.plan.mesh.tensor == 2; }, kWaitMs));
  const std::vector<MeshLink> links = MeshCells(*session.shown()).links(0);
  ASSERT_EQ(links.size(), 2u);
  EXPECT_FALSE(links[0].leavesNode);
  EXPECT_TRUE(links[1].leavesNode);
  EXPECT_NE(links[0].over, links[1].over);
  // An all-reduce of all gradients over four replicas sends 2 x 3/4 of them.
  double gradients = 0;
  for (const Buffer& b : session.shown()->simulated.program.rankClasses.front().residents)
    if (b.category == MemoryCategory::gradients) gradients += double(b.bytes.value);
  EXPECT_NEAR(double(links[1].sent.value) / (1.5 * gradients), 1, 0.01);
}

TEST_F(OpenSession, EveryChoiceThatIsNotRefusedCanBeShown) {
  open();
  const auto shown = session.shown();
  int tried = 0, refused = 0;
  for (const StrategyChoice& choice : strategyChoices(*shown)) {
    int mine = 0;
    for (const StrategyOption& option : choice.options) {
      mine += option.shown;
      const OptionEffect effect = effectOf(*shown->document, option.strategy);
      const QString& reason = effect.refusal;
      (reason.isEmpty() ? tried : refused) += 1;
      EXPECT_FALSE(option.shown && !reason.isEmpty()) << reason.toStdString();
      if (!reason.isEmpty()) continue;
      const PlanReport report =
          evaluateStrategy(shown->document->context(), shown->document->globalBatch(),
                           parseStrategy(option.strategy.toStdString()));
      EXPECT_EQ(report.stepTime, effect.stepTime) << option.strategy.toStdString();
      EXPECT_EQ(report.feasible, effect.doesNotFit.isEmpty());
    }
    EXPECT_EQ(mine, 1) << choice.key.toStdString();
  }
  EXPECT_GT(tried, 10);
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace meshplan::gui
