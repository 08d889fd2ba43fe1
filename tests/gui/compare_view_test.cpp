// SPDX-License-Identifier: Apache-2.0
// MESHPLAN_PICTURES=FOLDER keeps a picture of everything.
#include "gui/views/compare_view.h"

#include <gtest/gtest.h>

#include <QApplication>
#include <QCheckBox>
#include <QComboBox>
#include <QFileInfo>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QTemporaryDir>
#include <QTest>

#include "gui/render.h"
#include "gui/views/operator_difference_view.h"
#include "gui/views/step_lanes_view.h"
#include "planner/search/search.h"
#include "tests/gui/open_model.h"

namespace meshplan::gui {
namespace {

class CompareViewTest : public testing::Test {
 protected:
  CompareViewTest() {
    view.resize(1200, 900);
    view.show();
  }
  void open(const OpenRequest& request, const std::vector<QString>& strategies) {
    session.open(request);
    ASSERT_TRUE(settled());
    for (const QString& strategy : strategies) {
      const auto before = session.shown();
      session.tryStrategy(strategy, "test");
      ASSERT_TRUE(
          QTest::qWaitFor([&] { return session.shown() != before && !session.busy(); }, kWaitMs));
      if (&strategy != &strategies.back()) session.pin();
    }
    QTest::qWait(50);
  }
  void openSmall() {
    OpenRequest request = smallGpt(4, 512, 64);
    open(request, {"pp=2,tp=2,mbs=2", "dp=8,zero=1,mbs=8"});
  }
  bool settled() { return gui::settled(session); }
  template <class T>
  T* child(const QString& name) {
    T* found = view.findChild<T*>(name);
    EXPECT_NE(found, nullptr) << name.toStdString();
    return found;
  }
  QAbstractItemModel* rows() { return child<QTableView>("differences")->model(); }
  void picture(const QString& name) {
    const QString folder = qEnvironmentVariable("MESHPLAN_PICTURES");
    if (folder.isEmpty()) return;
    for (const Theme theme : {Theme::light, Theme::dark}) {
      QApplication::setPalette(themePalette(theme));
      QTest::qWait(100);
      view.grab().toImage().save(QString("%1/%2-%3.png").arg(folder, name).arg(int(theme)));
    }
    QApplication::setPalette(themePalette(Theme::light));
  }

  Session session;
  Selection selection;
  CompareView view{session, selection};
};

TEST_F(CompareViewTest, SaysWhatToDoWhenThereIsNothingToCompare) {
  EXPECT_FALSE(child<QTableView>("differences")->isVisible());
  EXPECT_FALSE(child<QComboBox>("first")->isEnabled());
  EXPECT_FALSE(child<QPushButton>("unpin")->isEnabled());
  picture("compare-empty");
}

TEST_F(CompareViewTest, ShowsWhereTwoPlansDiffer) {
  openSmall();
  ASSERT_GT(rows()->rowCount(), 10);
  EXPECT_TRUE(child<QComboBox>("first")->currentText().startsWith("pinned 1"));
  EXPECT_TRUE(child<QLabel>("headline")->text().contains("instead of"));
  EXPECT_TRUE(child<QLabel>("differenceTotals")->text().contains("= step"));
  picture("compare-small");
}

TEST_F(CompareViewTest, AClickSelectsTheOperatorsOfARow) {
  openSmall();
  QTest::keyClicks(child<QLineEdit>("differenceFilter"), "attention forward");
  ASSERT_GT(rows()->rowCount(), 0);
  auto* table = child<QTableView>("differences");
  QTest::mouseClick(table->viewport(), Qt::LeftButton, {},
                    table->visualRect(rows()->index(0, 0)).center());
  ASSERT_FALSE(selection.operators().empty());
  const Graph& graph = session.document()->model().graph;
  for (OpId op : selection.operators())
    EXPECT_NE(graph.op(op).name.find("attention"), std::string::npos) << graph.op(op).name;
  EXPECT_TRUE(rows()->index(0, 0).data(Qt::FontRole).value<QFont>().bold());
}

TEST_F(CompareViewTest, TheSelectionStandsOutInTheTable) {
  openSmall();
  const auto bold = [&] {
    int count = 0;
    for (int r = 0; r < rows()->rowCount(); ++r)
      count += rows()->index(r, 0).data(Qt::FontRole).value<QFont>().bold();
    return count;
  };
  EXPECT_EQ(bold(), 0);
  selection.setOperators({OpId(4)});
  EXPECT_GT(bold(), 0);
}

TEST_F(CompareViewTest, FilterFoldAndRanksChangeTheRows) {
  openSmall();
  const int folded = rows()->rowCount();
  child<QCheckBox>("layersTogether")->click();
  EXPECT_GT(rows()->rowCount(), folded);
  child<QCheckBox>("layersTogether")->click();
  const QString before = child<QLabel>("differenceTotals")->text();
  child<QComboBox>("differenceRanks")->setCurrentIndex(1);
  EXPECT_NE(child<QLabel>("differenceTotals")->text(), before);
  QTest::keyClicks(child<QLineEdit>("differenceFilter"), "no such operator");
  EXPECT_EQ(rows()->rowCount(), 0);
}

TEST_F(CompareViewTest, SwappingTurnsTheSignsAround) {
  openSmall();
  const auto largest = [&] {
    return rows()->index(0, OperatorDifference::difference).data(Qt::UserRole).toDouble();
  };
  const double before = largest();
  QTest::mouseClick(child<QPushButton>("swap"), Qt::LeftButton);
  EXPECT_EQ(largest(), -before);
}

TEST_F(CompareViewTest, APinIsComparedAtOnceAndForgottenAgain) {
  openSmall();
  EXPECT_EQ(view.choices().size(), 2u);
  QTest::mouseClick(child<QPushButton>("unpin"), Qt::LeftButton);
  EXPECT_EQ(view.choices().size(), 1u);
  EXPECT_FALSE(child<QTableView>("differences")->isVisible());
  session.pin();
  EXPECT_EQ(child<QComboBox>("first")->currentIndex(), 1);
  EXPECT_EQ(child<QComboBox>("second")->currentIndex(), 0);
}

TEST_F(CompareViewTest, BothStepsAreMovedTogether) {
  openSmall();
  auto* lanes = child<StepLanesView>("stepLanes");
  TimeWindow& window = lanes->state(0).window();
  ASSERT_EQ(&window, &lanes->state(1).window());
  const Seconds longer =
      std::max(view.choices()[0].timeline->stepTime, view.choices()[1].timeline->stepTime);
  EXPECT_EQ(window.stepTime(), longer.value);
  QTest::keyClick(lanes, Qt::Key_W);
  EXPECT_LT(window.length(), window.stepTime());
  QTest::keyClick(lanes, Qt::Key_S);
  const double before = window.length();
  const QPoint from(lanes->lanes(1).width() / 2, 10);
  QTest::mousePress(&lanes->lanes(1), Qt::LeftButton, {}, from);
  QTest::mouseMove(&lanes->lanes(1), from + QPoint(40, 0));
  QTest::mouseMove(&lanes->lanes(1), from + QPoint(80, 0));
  QTest::mouseRelease(&lanes->lanes(1), Qt::LeftButton, {}, from + QPoint(80, 0));
  ASSERT_TRUE(selection.range());
  QTest::keyClick(lanes, Qt::Key_F);
  EXPECT_LT(window.length(), before);
  QTest::keyClick(lanes, Qt::Key_F);
  EXPECT_EQ(window.length(), window.stepTime());
  QTest::keyClick(lanes, Qt::Key_Escape);
  EXPECT_FALSE(selection.range());
}

TEST_F(CompareViewTest, AnotherStageIsShownWhenChosen) {
  openSmall();
  auto* lanes = child<StepLanesView>("stepLanes");
  auto* stage = child<QComboBox>("firstStage");
  ASSERT_EQ(stage->count(), 2);
  EXPECT_FALSE(child<QComboBox>("secondStage")->isEnabled());
  const int other = 1 - stage->currentIndex();
  stage->setCurrentIndex(other);
  EXPECT_EQ(lanes->state(0).scene()->tracks.tracks().front().rankClass, other);
}

TEST_F(CompareViewTest, ASpanThatIsClickedIsSelectedAndTold) {
  openSmall();
  auto* lanes = child<StepLanesView>("stepLanes");
  const auto& scene = *lanes->state(1).scene();
  const SpanTrack& spans = scene.tracks.tracks()[0].spans;
  size_t longest = 0;
  for (size_t i = 0; i < spans.size(); ++i)
    if (spans.kind(i) == SpanKind::forward &&
        spans.end(i) - spans.start(i) > spans.end(longest) - spans.start(longest))
      longest = i;
  lanes->state(1).window().show(spans.start(longest), spans.end(longest));
  QTest::mouseClick(&lanes->lanes(1), Qt::LeftButton, {},
                    lanes->lanes(1).rectOf({0, longest}).center().toPoint());
  EXPECT_EQ(selection.operators().size(), 1u);
  EXPECT_TRUE(child<QLabel>("laneChosen")->text().contains("prediction: analytic"));
}

TEST_F(CompareViewTest, FitsNarrowAndWideWindows) {
  openSmall();
  for (const QSize size : {QSize(560, 560), QSize(2400, 1800)}) {
    view.resize(size);
    QTest::qWait(20);
    for (const char* name : {"comparison", "differences"})
      EXPECT_GT(child<QTableView>(name)->visibleRegion().boundingRect().height(), 60) << name;
    picture(QString("compare-%1").arg(size.width()));
  }
}

TEST_F(CompareViewTest, ThousandGpusAreCompared) {
  OpenRequest request;
  request.model.source = "gpt3-175b";
  request.cluster = "128x8xA100-SXM-80GB";
  request.globalBatch = 1536;
  open(request, {"pp=8,tp=8,mbs=1,recompute=selective", "pp=16,tp=8,mbs=1,recompute=full"});
  ASSERT_TRUE(
      QTest::qWaitFor([&] { return child<QTableView>("differences")->isEnabled(); }, kWaitMs));
  EXPECT_GT(rows()->rowCount(), 10);
  picture("compare-gpt3");
}

TEST(RenderCompare, DrawsTwoPlansAndWritesTheirTable) {
  QTemporaryDir folder;
  OpenRequest request;
  request.model.source = "gpt";
  request.model.settings = {{"layers", "4"}, {"hidden", "256"}, {"heads", "4"}};
  request.model.sequence = 128;
  request.globalBatch = 16;
  for (const char* name : {"a.png", "a.svg", "a.pdf", "a.csv", "a.md"}) {
    renderView("compare", request, "pp=2,tp=2,mbs=1", folder.filePath(name), QSize(900, 700));
    EXPECT_GT(QFileInfo(folder.filePath(name)).size(), 500) << name;
  }
  QFile table(folder.filePath("a.md"));
  ASSERT_TRUE(table.open(QIODevice::ReadOnly));
  EXPECT_TRUE(table.readAll().contains("| idle |"));
}

TEST(RenderCompare, NeedsSomethingToCompareWith) {
  OpenRequest request;
  request.model.source = "mlp";
  request.globalBatch = 16;
  for (const char* with : {"", "nothing.json"})
    EXPECT_THROW(renderView("compare", request, with, "never.png", {}), Error) << with;
  EXPECT_FALSE(QFile::exists("never.png"));
}

}  // namespace
}  // namespace meshplan::gui
