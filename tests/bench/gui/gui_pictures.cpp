// SPDX-License-Identifier: Apache-2.0
// gui_pictures FOLDER [MODEL.onnx]: opens real windows and keeps a picture of every workspace in
// light and dark: of GPT-3 175B on 1,024 GPUs, of the ONNX file on 8, and of a run of a small model
// on two ranks of this machine. `./dev pictures` calls it under a virtual display.
#include <fmt/core.h>

#include <QApplication>
#include <QLabel>
#include <QMessageBox>
#include <QPushButton>
#include <QScreen>
#include <QSettings>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>
#include <QTimer>
#include <functional>

#include "gui/main_window.h"
#include "profiles/profile_store.h"

namespace meshplan::gui {
namespace {

constexpr int kPatienceMs = 120000;
constexpr int kDrawnMs = 1500;  // layouts and sums that come from beside

struct Scene {
  QString name;
  OpenRequest request;
  QString other;      // a strategy to compare with
  bool runs = false;  // on this machine; its measurement is compared with instead
};

OpenRequest request(const std::string& model, const std::string& cluster, int64_t batch) {
  OpenRequest r;
  r.model.source = model;
  r.cluster = cluster;
  r.globalBatch = batch;
  return r;
}

std::vector<Scene> scenes(const QStringList& arguments) {
  std::vector<Scene> all;
  OpenRequest gpt3 = request("gpt3-175b", "128x8xA100-SXM-80GB", 1536);
  gpt3.model.sequence = 2048;
  all.push_back({"gpt3", gpt3, "tp=8,pp=8,mbs=1,zero=1,sp=on"});
  if (arguments.size() > 2)
    all.push_back(
        {"resnet50", request(arguments[2].toStdString(), "8xA100-SXM-80GB", 1024), "pp=2,mbs=16"});
  OpenRequest small = request("gpt", "local:2", 16);
  small.model.settings = {{"layers", "4"}, {"hidden", "256"}, {"heads", "4"}, {"vocab", "1024"}};
  small.model.sequence = 128;
  small.training.precision = Precision::fp32;
  all.push_back({"run", small, "pp=2,mbs=4", true});
  return all;
}

void demand(bool holds, const QString& what) {
  if (!holds) throw Error(ErrorKind::runtime, what.toStdString() + " did not happen");
}

class Photographer {
 public:
  explicit Photographer(const QString& folder) : folder_(folder) {
    window_.session().setProfiles(defaultProfilePath());
    window_.resize(1440, 900);
    window_.QWidget::show();
    demand(QTest::qWaitForWindowExposed(&window_), "a window");
    QObject::connect(&watch_, &QTimer::timeout, &window_, [this] { endOnFailure(); });
    watch_.start(100);
  }

  void take(const Scene& scene) {
    fmt::print("{}\n", scene.name.toStdString());
    Session& session = window_.session();
    session.open(scene.request);
    demand(QTest::qWaitFor(
               [&] {
                 return session.document() &&
                        session.document()->request().model.source == scene.request.model.source &&
                        settled();
               },
               kPatienceMs),
           "opening " + scene.name);
    if (scene.runs) run(scene);
    keep(scene.name, {{"model", MainWindow::Workspace::model},
                      {"plan", MainWindow::Workspace::plan},
                      {"timeline", MainWindow::Workspace::timeline}});
    if (!scene.runs) {
      session.pin();
      tryStrategy(scene.other);
    }
    keep(scene.name, {{"compare", MainWindow::Workspace::compare}});
  }

  void takeStart() {
    for (const auto& [theme, look] : themes()) keepOne("start", theme, look);
  }

 private:
  using Pages = std::vector<std::pair<QString, MainWindow::Workspace>>;

  static std::vector<std::pair<Theme, QString>> themes() {
    return {{Theme::light, "light"}, {Theme::dark, "dark"}};
  }

  bool settled() { return window_.session().shown() && !window_.session().busy(); }

  void tryStrategy(const QString& strategy) {
    const auto before = window_.session().shown();
    window_.session().tryStrategy(strategy, "another");
    demand(QTest::qWaitFor([&] { return window_.session().shown() != before; }, kPatienceMs),
           strategy);
  }

  /// A message waits for somebody to press its button.
  void endOnFailure() {
    const auto* box = window_.findChild<QMessageBox*>("failure");
    if (!box) return;
    fmt::print(stderr, "error: {}\n", box->text().toStdString());
    std::_Exit(1);
  }

  void run(const Scene& scene) {
    tryStrategy(scene.other);
    QSignalSpy compared(&window_.session(), &Session::comparedChanged);
    window_.findChild<QPushButton*>("startRun")->click();
    demand(QTest::qWaitFor([&] { return compared.count() > 0; }, kPatienceMs),
           "a run: " + window_.findChild<QLabel*>("runState")->text());
  }

  void keep(const QString& name, const Pages& pages) {
    for (const auto& [theme, look] : themes())
      for (const auto& [page, workspace] : pages) {
        window_.show(workspace);
        keepOne(name + "-" + page, theme, look);
      }
  }

  void keepOne(const QString& name, Theme theme, const QString& look) {
    window_.setTheme(theme);
    QTest::qWait(kDrawnMs);
    const QString path = folder_ + "/" + name + "-" + look + ".png";
    demand(window_.screen()->grabWindow(window_.winId()).save(path), path);
  }

  const QString folder_;
  MainWindow window_;
  QTimer watch_;
};

int run(int argc, char** argv) try {
  QTemporaryDir own;
  qputenv("MESHPLAN_PROFILES", own.filePath("profiles.db").toUtf8());
  QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, own.path());
  QApplication app(argc, argv);
  QApplication::setStyle("fusion");
  QApplication::setOrganizationName("meshplan");
  const QStringList arguments = QApplication::arguments();
  if (arguments.size() < 2)
    throw Error(ErrorKind::usage, "no folder for the pictures", "gui_pictures FOLDER [MODEL.onnx]");
  Photographer photographer(arguments[1]);
  photographer.takeStart();
  for (const Scene& scene : scenes(arguments)) photographer.take(scene);
  return 0;
} catch (const Error& error) {
  fmt::print(stderr, "error: {}\n", error.what());
  return exitCode(error.kind());
}

}  // namespace
}  // namespace meshplan::gui

int main(int argc, char** argv) {
  return meshplan::gui::run(argc, argv);
}
