// SPDX-License-Identifier: Apache-2.0
// A window that is closed and opened again, and one that is killed.
#include <gtest/gtest.h>
#include <signal.h>

#include <QProcess>
#include <QSettings>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

#include "gui/main_window.h"
#include "gui/views/timeline_view.h"
#include "tests/gui/open_model.h"

namespace meshplan::gui {
namespace {

class WindowSession : public testing::Test {
 protected:
  void SetUp() override {
    QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, folder.path());
    QApplication::setOrganizationName("meshplan-test");
  }
  static bool settled(MainWindow& window) { return gui::settled(window.session()); }

  QTemporaryDir folder;
};

TEST_F(WindowSession, ComesBackToTheSamePlaceOfTheTimeline) {
  const auto page = [](MainWindow& w) {
    return w.findChild<QAction*>("workspace:timeline")->isChecked();
  };
  double begin = 0, end = 0;
  {
    MainWindow window;
    window.keeper().keepIn(folder.path());
    window.session().open(smallGpt());
    ASSERT_TRUE(settled(window));
    window.show(MainWindow::Workspace::timeline);
    TimeWindow& shown = window.findChild<TimelineView*>()->state().window();
    shown.show(0.25 * shown.stepTime(), 0.5 * shown.stepTime());
    begin = shown.begin();
    end = shown.end();
  }
  MainWindow window;
  QSignalSpy finished(&window.keeper(), &SessionKeeper::finished);
  window.keeper().keepIn(folder.path());
  window.keeper().restore();
  ASSERT_TRUE(QTest::qWaitFor([&] { return finished.count() > 0; }, kWaitMs));
  EXPECT_TRUE(page(window));
  const TimeWindow& shown = window.findChild<TimelineView*>()->state().window();
  EXPECT_EQ(shown.begin(), begin);
  EXPECT_EQ(shown.end(), end);
}

TEST_F(WindowSession, ComesBackToThePlansOnTheScreen) {
  {
    MainWindow window;
    window.keeper().keepIn(folder.path());
    window.session().open(smallGpt());
    ASSERT_TRUE(settled(window));
    window.show(MainWindow::Workspace::plan);
  }
  MainWindow window;
  window.QWidget::show();
  window.keeper().keepIn(folder.path());
  window.keeper().restore();
  ASSERT_TRUE(settled(window));
  EXPECT_TRUE(window.findChild<QWidget*>("MeshMatrix")->isVisible());
  EXPECT_TRUE(window.findChild<QWidget*>("StagesView")->isVisible());
}

TEST_F(WindowSession, OpensASessionFileThatWasSaved) {
  const QString path = folder.filePath("mine.meshplan");
  {
    MainWindow window;
    window.session().open(smallGpt());
    ASSERT_TRUE(settled(window));
    window.session().pin();
    window.keeper().saveAs(path);
  }
  MainWindow window;
  window.openFile(path);
  ASSERT_TRUE(settled(window));
  EXPECT_EQ(window.session().pinned().size(), 1u);
  EXPECT_TRUE(QSettings().value("recent").toStringList().contains(path));
}

TEST_F(WindowSession, SurvivesAKill) {
  QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
  environment.insert("QT_QPA_PLATFORM", "offscreen");
  environment.insert("XDG_DATA_HOME", folder.path());
  environment.insert("XDG_CONFIG_HOME", folder.path());
  const QString last = folder.filePath("meshplan/meshplan/last.meshplan");
  {
    QProcess app;
    app.setProcessEnvironment(environment);
    app.start(MESHPLAN_GUI_PROGRAM, {"gpt2", "-c", "8xA100-SXM-80GB"});
    ASSERT_TRUE(app.waitForStarted());
    const auto shown = [&] {
      return QFile::exists(last) && readSessionFile(last.toStdString()).shown;
    };
    EXPECT_TRUE(QTest::qWaitFor(shown, kWaitMs));
    ::kill(static_cast<pid_t>(app.processId()), SIGKILL);
    app.waitForFinished();
  }
  ASSERT_TRUE(QFile::exists(last));
  MainWindow window;
  QSignalSpy finished(&window.keeper(), &SessionKeeper::finished);
  window.keeper().keepIn(folder.filePath("meshplan/meshplan"));
  window.keeper().restore();
  ASSERT_TRUE(QTest::qWaitFor([&] { return finished.count() > 0; }, kWaitMs));
  ASSERT_TRUE(window.session().shown());
  EXPECT_EQ(window.session().document()->planning().modelName(), "gpt2");
}

}  // namespace
}  // namespace meshplan::gui
