// SPDX-License-Identifier: Apache-2.0
// The whole window, as a newcomer uses it. MESHPLAN_PICTURES=FOLDER keeps a picture of everything.
#include "gui/main_window.h"

#include <gtest/gtest.h>

#include <QComboBox>
#include <QDockWidget>
#include <QLabel>
#include <QLineEdit>
#include <QMessageBox>
#include <QMimeData>
#include <QPushButton>
#include <QSettings>
#include <QSignalSpy>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QTimer>
#include <QToolButton>
#include <ctime>
#include <fstream>

#include "core/error.h"
#include "gui/export_view.h"
#include "gui/views/model_dialog.h"
#include "gui/views/model_view.h"
#include "gui/views/placement_view.h"
#include "gui/views/stages_view.h"
#include "gui/views/step_lanes_view.h"
#include "tests/gui/failure_message.h"

namespace meshplan::gui {
namespace {

class Window : public testing::Test {
 protected:
  void SetUp() override {
    QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, settings.path());
    QApplication::setOrganizationName("meshplan-test");
    window = std::make_unique<MainWindow>();
    window->resize(1440, 900);
    window->QWidget::show();
  }

  template <class T>
  T* child(const QString& name) {
    T* found = window->findChild<T*>(name);
    EXPECT_NE(found, nullptr) << name.toStdString();
    return found;
  }
  bool settled() { return gui::settled(window->session()); }
  void openSmall() {
    OpenRequest request = smallGpt(4, 512, 64);
    window->session().open(request);
    ASSERT_TRUE(settled());
  }
  void useOwnProfiles() {
    const std::string store = settings.filePath("profiles.db").toStdString();
    qputenv("MESHPLAN_PROFILES", store.c_str());
    window->session().setProfiles(store);
  }
  /// Presses Run, and waits until the run stands beside its prediction.
  bool runs() {
    QSignalSpy compared(&window->session(), &Session::comparedChanged);
    QTest::mouseClick(child<QPushButton>("startRun"), Qt::LeftButton);
    const bool finished = QTest::qWaitFor([&] { return compared.count() > 0; }, kWaitMs);
    qunsetenv("MESHPLAN_PROFILES");
    return finished;
  }
  QImage picture(const QString& name) {
    QTest::qWait(100);  // layouts of graphs come from beside
    const QImage image = window->grab().toImage();
    const QString folder = qEnvironmentVariable("MESHPLAN_PICTURES");
    if (!folder.isEmpty()) image.save(folder + "/" + name + ".png");
    return image;
  }
  /// So many colours that something is drawn.
  static int colours(const QImage& image) {
    QSet<QRgb> seen;
    for (int y = 0; y < image.height(); y += 3)
      for (int x = 0; x < image.width(); x += 3) seen.insert(image.pixel(x, y));
    return static_cast<int>(seen.size());
  }

  QTemporaryDir settings;
  std::unique_ptr<MainWindow> window;
};

TEST_F(Window, StartsWithExamplesAndNothingElse) {
  EXPECT_TRUE(child<QPushButton>("example:llama3-8b")->isVisible());
  EXPECT_FALSE(child<QDockWidget>("dock:whatIf")->isVisible());
  EXPECT_GT(colours(picture("start")), 10);
}

TEST_F(Window, EveryExampleOpensInEveryWorkspaceInBothThemes) {
  for (const char* example : {"llama3-8b", "gpt3-175b", "resnet50"}) {
    QTest::mouseClick(child<QPushButton>(QString("example:") + example), Qt::LeftButton);
    ASSERT_TRUE(QTest::qWaitFor(
        [&] {
          const auto& document = window->session().document();
          return document && document->request().model.source == example;
        },
        kWaitMs));
    ASSERT_TRUE(settled()) << example;
    for (const Theme theme : {Theme::light, Theme::dark}) {
      window->setTheme(theme);
      const QString look = theme == Theme::dark ? "dark" : "light";
      int number = 0;
      for (const auto workspace :
           {MainWindow::Workspace::model, MainWindow::Workspace::plan,
            MainWindow::Workspace::timeline, MainWindow::Workspace::compare}) {
        window->show(workspace);
        const QImage image = picture(QString("%1-%2-%3").arg(example).arg(number++).arg(look));
        EXPECT_GT(colours(image), 20) << example;
      }
    }
  }
  window->setTheme(Theme::light);
}

TEST_F(Window, AChoiceIsTriedUndoneAndRedone) {
  openSmall();
  const std::string best = window->session().shown()->report.strategy;
  auto* zero = child<QToolButton>("zero=3");
  ASSERT_TRUE(zero->isEnabled());
  QTest::mouseClick(zero, Qt::LeftButton);
  ASSERT_TRUE(QTest::qWaitFor([&] { return window->session().shown()->report.plan.zeroStage == 3; },
                              kWaitMs));
  QTest::keyClick(window.get(), Qt::Key_Z, Qt::ControlModifier);
  EXPECT_EQ(window->session().shown()->report.strategy, best);
  QTest::keySequence(window.get(), QKeySequence::Redo);
  EXPECT_EQ(window->session().shown()->report.plan.zeroStage, 3);
}

TEST_F(Window, WhatCannotBeIsDisabledWithTheReason) {
  openSmall();
  auto* button = child<QToolButton>("mbs=64");
  ASSERT_TRUE(QTest::qWaitFor([&] { return !child<QToolButton>("mbs=64")->isEnabled(); }, kWaitMs))
      << button->toolTip().toStdString();
  EXPECT_GT(child<QToolButton>("mbs=64")->toolTip().size(), 20);
}

TEST_F(Window, TellsWhyTheWinnerWon) {
  openSmall();
  auto* why = child<QLabel>("whyShown");
  ASSERT_TRUE(QTest::qWaitFor([&] { return !why->text().isEmpty(); }, kWaitMs));
  EXPECT_TRUE(why->text().contains("No single other choice is faster"))
      << why->text().toStdString();
  EXPECT_TRUE(child<QToolButton>("zero=0")->toolTip().contains("%"));
  window->session().tryStrategy("tp=4,mbs=1,recompute=full", "try");
  ASSERT_TRUE(QTest::qWaitFor([&] { return why->text().contains("Faster by one"); }, kWaitMs));
}

TEST_F(Window, WhyNotShowsAnyStrategyOrTellsWhatIsWrong) {
  openSmall();
  auto* line = child<QLineEdit>("whyNot");
  QTest::keyClicks(line, "tp=2,pp=2");
  QTest::keyClick(line, Qt::Key_Return);
  ASSERT_TRUE(QTest::qWaitFor(
      [&] { return window->session().shown()->report.plan.mesh.pipeline == 2; }, kWaitMs));
  const QString told = failureOf(*window, [&] {
    line->clear();
    QTest::keyClicks(line, "tp=3");
    QTest::keyClick(line, Qt::Key_Return);
  });
  EXPECT_FALSE(told.isEmpty());
  EXPECT_EQ(window->session().shown()->report.plan.mesh.pipeline, 2);
}

TEST_F(Window, ARankThatIsClickedIsSelectedEverywhere) {
  openSmall();
  window->show(MainWindow::Workspace::plan);
  auto* matrix = child<MeshMatrix>("MeshMatrix");
  QTest::mouseClick(matrix, Qt::LeftButton, {}, matrix->cell(3).center().toPoint());
  EXPECT_EQ(window->selection().ranks(), std::vector<int64_t>{3});
  QTest::mouseClick(matrix, Qt::LeftButton, Qt::ControlModifier,
                    matrix->cell(5).center().toPoint());
  EXPECT_EQ(window->selection().ranks(), (std::vector<int64_t>{3, 5}));
}

TEST_F(Window, ForgetsWhatWasSelectedInAnotherModel) {
  openSmall();
  window->show(MainWindow::Workspace::plan);
  const auto last = window->session().document()->model().forwardOps - 1;
  window->selection().setOperators({OpId(last)});
  window->selection().setRanks({7});
  window->session().tryScenario({.network = 0.5, .fabric = 1, .device = ""});
  ASSERT_TRUE(settled());
  EXPECT_EQ(window->selection().operators().size(), 1u);  // the same model
  OpenRequest request;
  request.model.source = "mlp";
  request.cluster = "2xA100-SXM-80GB";
  window->session().open(request);
  ASSERT_TRUE(QTest::qWaitFor(
      [&] { return window->session().document()->request().model.source == "mlp"; }, kWaitMs));
  ASSERT_TRUE(settled());
  EXPECT_TRUE(window->selection().operators().empty());
  EXPECT_TRUE(window->selection().ranks().empty());
}

TEST_F(Window, FindsOperatorsByName) {
  openSmall();
  window->show(MainWindow::Workspace::model);
  QTest::keyClicks(child<QLineEdit>("findOperator"), "attention");
  ASSERT_FALSE(window->selection().operators().empty());
  const OpId op = window->selection().operators().front();
  EXPECT_EQ(window->session().document()->model().graph.op(op).def->name, "Attention");
}

TEST_F(Window, ComparesAPinnedPlanWithTheShownOne) {
  openSmall();
  QTest::keyClick(window.get(), Qt::Key_B, Qt::ControlModifier);
  window->session().tryStrategy("tp=8", "try");
  ASSERT_TRUE(QTest::qWaitFor(
      [&] { return window->session().shown()->report.plan.mesh.tensor == 8; }, kWaitMs));
  window->show(MainWindow::Workspace::compare);
  const QAbstractItemModel* rows = child<QTableView>("comparison")->model();
  ASSERT_GT(rows->rowCount(), 8);
  EXPECT_TRUE(rows->index(0, 2).data().toString().contains("tp=8"));
  EXPECT_FALSE(rows->index(0, 1).data().toString().contains("tp=8"));
  picture("compare");
}

TEST_F(Window, RunsThePlanAndShowsItBesideThePrediction) {
  useOwnProfiles();
  OpenRequest request;
  request.model.source = "mlp";
  request.training.precision = Precision::fp32;
  request.cluster = "local:2";
  request.globalBatch = 64;
  window->session().open(request);
  ASSERT_TRUE(settled());
  ASSERT_TRUE(runs()) << child<QLabel>("runState")->text().toStdString();
  const Comparison& run = *window->session().compared();
  EXPECT_FALSE(run.measured.spans.empty());
  EXPECT_EQ(run.measured.spans.size(), run.predicted.spans.size());
  EXPECT_TRUE(child<QLabel>("runState")->text().contains("measured"));
  picture("run");
  window->show(MainWindow::Workspace::compare);
  EXPECT_EQ(child<QComboBox>("first")->currentText(), "run 1: predicted");
  EXPECT_EQ(child<QComboBox>("second")->currentText(), "run 1: measured");
  EXPECT_GT(child<QTableView>("differences")->model()->rowCount(), 4);
  EXPECT_NE(child<StepLanesView>("stepLanes")->lag(), nullptr);
  EXPECT_FALSE(child<StepLanesView>("stepLanes")->lag()->points.empty());
  picture("compare-run");
}

/// As somebody who has read nothing: opens, searches, takes two stages, moves a layer, runs it.
TEST_F(Window, ANewcomerMovesALayerAndRunsThePlan) {
  useOwnProfiles();
  OpenRequest request;
  request.model.source = "gpt";
  request.model.settings = {{"layers", "4"}, {"hidden", "64"}, {"heads", "4"}, {"vocab", "128"}};
  request.model.sequence = 32;
  request.training.precision = Precision::fp32;
  request.cluster = "local:2";
  request.globalBatch = 8;
  window->session().open(request);
  ASSERT_TRUE(settled());
  EXPECT_FALSE(child<QLabel>("SummaryView")->text().isEmpty());
  QTest::mouseClick(child<QToolButton>("pp=2"), Qt::LeftButton);
  ASSERT_TRUE(QTest::qWaitFor(
      [&] { return window->session().shown()->report.plan.mesh.pipeline == 2; }, kWaitMs));
  auto* stages = child<StagesView>("StagesView");
  QTest::qWait(50);  // until it has its place
  const int64_t last = stages->blocks().chunks()[0].end - 1;
  const auto before = window->session().shown();
  QTest::mousePress(stages, Qt::LeftButton, {}, stages->block(last).center().toPoint());
  QTest::mouseMove(stages, stages->row(1).center().toPoint());
  QTest::mouseRelease(stages, Qt::LeftButton, {}, stages->row(1).center().toPoint());
  ASSERT_TRUE(QTest::qWaitFor([&] { return window->session().shown() != before; }, kWaitMs));
  EXPECT_TRUE(window->session().shown()->cutByHand);
  picture("moved");
  ASSERT_TRUE(runs()) << child<QLabel>("runState")->text().toStdString();
  const Comparison& run = *window->session().compared();
  const auto& moved = window->session().shown()->simulated.program;
  ASSERT_EQ(run.program.routines.size(), moved.routines.size());
  for (size_t r = 0; r < moved.routines.size(); ++r)
    EXPECT_EQ(run.program.routines[r].instructions.size(), moved.routines[r].instructions.size());
  EXPECT_GT(run.diff.step.measured.value, 0);
  picture("moved-run");
}

/// What `act` opens is filled in by `use`.
template <class Dialog>
void inDialog(QObject& window, const std::function<void(Dialog&)>& use,
              const std::function<void()>& act) {
  QTimer::singleShot(0, &window, [&] {
    ASSERT_TRUE(QTest::qWaitFor([&] { return window.findChild<Dialog*>() != nullptr; }, kWaitMs));
    use(*window.findChild<Dialog*>());
  });
  act();
}

TEST_F(Window, PlansWhatIsChosenInTheDialog) {
  inDialog<ModelDialog>(
      *window,
      [&](ModelDialog& dialog) {
        dialog.findChild<QComboBox*>("choose:Model")->setCurrentText("gpt2");
        dialog.findChild<QComboBox*>("choose:Cluster")->setCurrentText("2x4xA100-SXM-80GB");
        dialog.findChild<QSpinBox*>("choose:Sequence length")->setValue(256);
        dialog.findChild<QSpinBox*>("choose:Global batch")->setValue(48);
        dialog.findChild<QLineEdit*>("choose:Settings")->setText("layers=3");
        dialog.findChild<QComboBox*>("choose:Optimizer")->setCurrentText("sgd");
        picture("dialog");
        QTest::mouseClick(dialog.findChild<QPushButton*>("plan"), Qt::LeftButton);
      },
      [&] { QTest::mouseClick(child<QPushButton>("choose"), Qt::LeftButton); });
  ASSERT_TRUE(settled());
  const Document& document = *window->session().document();
  EXPECT_EQ(document.globalBatch(), 48);
  EXPECT_EQ(document.cluster().deviceCount(), 8u);
  EXPECT_EQ(document.model().tokensPerSample, 256);
  EXPECT_EQ(document.model().options.optimizer, OptimizerKind::sgd);
  EXPECT_EQ(ModelDialog(document.request()).request().model.settings,
            (std::map<std::string, std::string>{{"layers", "3"}}));
}

TEST_F(Window, TellsWhatOfTheDialogCannotBeRead) {
  ModelDialog dialog{OpenRequest()};
  EXPECT_THROW(dialog.request(), Error);  // no model
  dialog.findChild<QComboBox*>("choose:Model")->setCurrentText("gpt2");
  dialog.findChild<QLineEdit*>("choose:Dimensions of an ONNX graph")->setText("batch=many");
  try {
    dialog.request();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.place(), "Dimensions");
    EXPECT_NE(error.problem().find("many"), std::string::npos);
  }
}

/// The longest time in which the interface did not answer, in milliseconds of its thread.
class Heartbeat : public QObject {
 public:
  Heartbeat() {
    connect(&timer_, &QTimer::timeout, this, &Heartbeat::beat);
    timer_.start(1);
    last_ = now();
  }
  double longest() const { return longest_; }

 private:
  static double now() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_nsec);
  }
  void beat() {
    longest_ = std::max(longest_, now() - last_);
    last_ = now();
  }
  QTimer timer_;
  double last_ = 0, longest_ = 0;
};

TEST_F(Window, AnswersWhileALargeModelIsOpenedAndLookedAt) {
  for (const auto workspace : {MainWindow::Workspace::model, MainWindow::Workspace::plan,
                               MainWindow::Workspace::timeline, MainWindow::Workspace::compare}) {
    Heartbeat heart;
    if (workspace == MainWindow::Workspace::model) {
      QTest::mouseClick(child<QPushButton>("example:gpt3-175b"), Qt::LeftButton);
      ASSERT_TRUE(settled());
      printf("opening GPT-3 175B on 1,024 GPUs blocks the interface for at most %.0f ms\n",
             heart.longest());
    }
    window->show(workspace);
    QTest::qWait(50);
    const auto before = window->session().shown();
    window->session().tryStrategy("tp=8,pp=16,mbs=1,zero=1,sp=on", "try");
    ASSERT_TRUE(QTest::qWaitFor([&] { return window->session().shown() != before; }, kWaitMs));
    QTest::qWait(100);
    printf("another plan with workspace %d: at most %.0f ms\n", int(workspace), heart.longest());
    EXPECT_LT(heart.longest(), 500);  // a loaded machine; the goal is 100
    window->session().edits().undo();
  }
}

TEST_F(Window, EverythingFitsInSmallAndLargeWindows) {
  openSmall();
  for (const QSize size : {QSize(1024, 700), QSize(3840, 2160)}) {
    window->resize(size);
    QTest::qWait(50);
    EXPECT_EQ(window->size(), size);
    for (const auto workspace : {MainWindow::Workspace::model, MainWindow::Workspace::plan,
                                 MainWindow::Workspace::timeline, MainWindow::Workspace::compare}) {
      window->show(workspace);
      picture(QString("size-%1-%2").arg(size.width()).arg(int(workspace)));
    }
    window->show(MainWindow::Workspace::plan);
    for (const char* name : {"PlansView", "MeshMatrix", "MemoryView"})
      EXPECT_FALSE(child<QWidget>(name)->visibleRegion().isEmpty()) << name;
  }
}

TEST_F(Window, ExportsPicturesOfAView) {
  openSmall();
  QTemporaryDir folder;
  for (const char* name : {"view.png", "view.svg", "view.pdf"}) {
    EXPECT_TRUE(exportWidget(*child<MeshMatrix>("MeshMatrix"), folder.filePath(name)));
    EXPECT_GT(QFileInfo(folder.filePath(name)).size(), 500) << name;
  }
  EXPECT_FALSE(exportWidget(*window, folder.filePath("view.txt")));
  EXPECT_FALSE(QFile::exists(folder.filePath("view.txt")));
}

}  // namespace
}  // namespace meshplan::gui
