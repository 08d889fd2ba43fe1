// SPDX-License-Identifier: Apache-2.0
// The window opens timelines and profile stores.
#include <gtest/gtest.h>

#include <QAction>
#include <QDropEvent>
#include <QLabel>
#include <QMessageBox>
#include <QMimeData>
#include <QPushButton>
#include <QSettings>
#include <QSignalSpy>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QTimer>
#include <fstream>

#include "gui/main_window.h"
#include "gui/models/run_table.h"
#include "gui/views/range_view.h"
#include "gui/views/runs_view.h"
#include "gui/views/timeline_view.h"
#include "profiles/profile_store.h"
#include "tests/gui/failure_message.h"

namespace meshplan::gui {
namespace {

constexpr const char* kTrace = R"({"traceEvents": [
 {"ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 7, "ts": 0, "dur": 30},
 {"ph": "X", "cat": "kernel", "name": "relu", "pid": 0, "tid": 7, "ts": 30, "dur": 10}]})";

class OpenFiles : public testing::Test {
 protected:
  void SetUp() override {
    QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, folder.path());
    QApplication::setOrganizationName("meshplan-test");
    window.reset();
    window = std::make_unique<MainWindow>();
    window->resize(1280, 800);
    window->QWidget::show();
  }
  QString write(const char* name, const std::string& text) const {
    std::ofstream(folder.filePath(name).toStdString()) << text;
    return folder.filePath(name);
  }
  bool traceOpens(const QString& path) {
    window->openFile(path);
    return QTest::qWaitFor([&] { return window->session().trace() != nullptr; }, kWaitMs);
  }
  void openSmall() {
    OpenRequest request;
    request.model.source = "mlp";
    request.training.precision = Precision::fp32;
    request.cluster = "local:2";
    request.globalBatch = 64;
    window->session().open(request);
    ASSERT_TRUE(settled(window->session()));
  }
  template <class Do>
  QString message(const Do& action) {
    return failureOf(*window, action);
  }
  RunsView* openStore(const QString& path) {
    window->openFile(path);
    RunsView* view = nullptr;
    EXPECT_TRUE(QTest::qWaitFor(
        [&] { return (view = window->findChild<RunsView*>("RunsView")) != nullptr; }, kWaitMs));
    return view;
  }

  QTemporaryDir folder;
  std::unique_ptr<MainWindow> window;
};

TEST_F(OpenFiles, ATimelineIsShownWithoutAModel) {
  ASSERT_TRUE(traceOpens(write("steps.json", kTrace)));
  auto* timeline = window->findChild<TimelineView*>();
  EXPECT_TRUE(timeline->isVisible());
  EXPECT_EQ(timeline->state().scene()->timeline->spans.size(), 2u);
  EXPECT_TRUE(window->windowTitle().contains("steps.json"));
  EXPECT_FALSE(window->findChild<QAction*>("workspace:plan")->isEnabled());
  EXPECT_TRUE(window->findChild<QAction*>("workspace:timeline")->isEnabled());
  const RangeStatistics& statistics = window->findChild<RangeView*>()->statistics();
  ASSERT_EQ(statistics.rows.size(), 2u);
  EXPECT_EQ(statistics.rows[0].name, "gemm");
  EXPECT_NEAR(statistics.rows[0].share, 0.75, 1e-9);
}

TEST_F(OpenFiles, ATimelineIsOfTheSessionToo) {
  window->keeper().keepIn(folder.path());
  ASSERT_TRUE(traceOpens(write("steps.json", kTrace)));
  window->findChild<TimelineView*>()->state().window().show(1e-5, 2e-5);
  SetUp();
  QSignalSpy finished(&window->keeper(), &SessionKeeper::finished);
  window->keeper().keepIn(folder.path());
  window->keeper().restore();
  ASSERT_TRUE(QTest::qWaitFor([&] { return finished.count() > 0; }, kWaitMs));
  ASSERT_TRUE(window->session().trace());
  EXPECT_NEAR(window->findChild<TimelineView*>()->state().window().begin(), 1e-5, 1e-12);
}

TEST_F(OpenFiles, APlanReplacesTheTimelineOfAFileAgain) {
  openSmall();
  ASSERT_TRUE(traceOpens(write("steps.json", kTrace)));
  auto* timeline = window->findChild<TimelineView*>();
  EXPECT_EQ(timeline->state().scene()->timeline->spans.size(), 2u);
  window->session().edit(window->session().shown()->report.plan, "again");
  ASSERT_TRUE(QTest::qWaitFor([&] { return window->session().trace() == nullptr; }, kWaitMs));
  EXPECT_GT(timeline->state().scene()->timeline->spans.size(), 2u);
  EXPECT_FALSE(window->windowTitle().contains("steps.json"));
}

TEST_F(OpenFiles, ABrokenTimelineLeavesAllAsItWas) {
  openSmall();
  const auto before = window->session().shown();
  const QString path = write("broken.json", std::string(kTrace).substr(0, 150));
  EXPECT_TRUE(message([&] { window->openFile(path); }).contains("not valid JSON"));
  EXPECT_EQ(window->session().shown(), before);
  EXPECT_EQ(window->session().trace(), nullptr);
}

TEST_F(OpenFiles, AStoreListsItsRunsAndShowsOneBesideItsPrediction) {
  const std::string store = folder.filePath("profiles.db").toStdString();
  qputenv("MESHPLAN_PROFILES", store.c_str());
  window->session().setProfiles(store);
  openSmall();
  QSignalSpy compared(&window->session(), &Session::comparedChanged);
  QTest::mouseClick(window->findChild<QPushButton*>("startRun"), Qt::LeftButton);
  const bool ran = QTest::qWaitFor([&] { return compared.count() > 0; }, kWaitMs);
  qunsetenv("MESHPLAN_PROFILES");
  ASSERT_TRUE(ran);
  const QString copy = folder.filePath("copy.db");
  ASSERT_TRUE(QFile::copy(QString::fromStdString(store), copy));
  SetUp();  // another window, which knows no store
  RunsView* view = openStore(copy);
  auto* table = view->findChild<QTableView*>("runTable");
  ASSERT_EQ(table->model()->rowCount(), 1);
  for (int c = 0; c < RunTable::kColumns; ++c)
    EXPECT_FALSE(table->model()->index(0, c).data().toString().isEmpty()) << c;
  QSignalSpy shown(&window->session(), &Session::comparedChanged);
  QTest::mouseClick(view->findChild<QPushButton*>("compareRun"), Qt::LeftButton);
  ASSERT_TRUE(QTest::qWaitFor([&] { return shown.count() > 0; }, kWaitMs));
  EXPECT_FALSE(window->session().compared()->measured.spans.empty());
}

TEST_F(OpenFiles, AStoreIsPredictedFromWhenTheUserWants) {
  openSmall();
  const std::string strategy = window->session().shown()->report.strategy;
  const std::string store = folder.filePath("other.db").toStdString();
  { const ProfileStore made(store); }
  RunsView* view = openStore(QString::fromStdString(store));
  EXPECT_FALSE(view->findChild<QPushButton*>("compareRun")->isEnabled());
  QTest::mouseClick(view->findChild<QPushButton*>("useStore"), Qt::LeftButton);
  ASSERT_TRUE(QTest::qWaitFor(
      [&] { return window->session().document()->request().profilesPath == store; }, kWaitMs));
  EXPECT_EQ(window->session().shown()->report.strategy, strategy);
}

TEST_F(OpenFiles, WhatIsNoStoreIsToldAndNothingChanges) {
  const QString path = write("damaged.db", std::string("SQLite format 3\0", 16) + "nothing more");
  EXPECT_TRUE(message([&] { window->openFile(path); }).contains("damaged.db"));
  EXPECT_EQ(window->findChild<RunsView*>("RunsView"), nullptr);
  EXPECT_EQ(window->session().document(), nullptr);
}

TEST(RunTable, ShowsWhatIsNotPredictedAsADash) {
  RunTable table;
  RunMeasurement run;
  run.id = 3;
  run.model = "gpt";
  run.step.median = Seconds(0.010);
  RunMeasurement predicted = run;
  predicted.predictedStep = Seconds(0.011);
  table.setRuns({run, predicted});
  EXPECT_EQ(table.index(0, RunTable::error).data().toString(), "–");
  EXPECT_EQ(table.index(1, RunTable::error).data().toString(), "+10.0 %");
  EXPECT_EQ(table.index(1, RunTable::measured).data().toString(), "10.0 ms");
}

}  // namespace
}  // namespace meshplan::gui
