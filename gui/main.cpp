// SPDX-License-Identifier: Apache-2.0
// Starts the desktop app: meshplan-gui [FILE]. A model's name of `meshplan models` is opened as
// well.
#include <QApplication>
#include <QCommandLineParser>
#include <QFileInfo>

#include "gui/main_window.h"

int main(int argc, char** argv) {
  QApplication app(argc, argv);
  QApplication::setStyle("fusion");
  QApplication::setOrganizationName("meshplan");
  QApplication::setApplicationName("meshplan");
  QApplication::setApplicationVersion(MESHPLAN_VERSION);
  QCommandLineParser parser;
  parser.setApplicationDescription("Shows how a model is split over devices, and why.");
  parser.addPositionalArgument("FILE", "A model, a plan or a cluster to open", "[FILE]");
  parser.addOption({{"c", "cluster"}, "The cluster to plan for", "CLUSTER", "8xH100-SXM"});
  parser.addHelpOption();
  parser.addVersionOption();
  parser.process(app);
  meshplan::gui::MainWindow window;
  window.restore();
  window.QWidget::show();
  const QStringList files = parser.positionalArguments();
  if (!files.isEmpty() && QFileInfo::exists(files.front())) {
    window.openFile(files.front());
  } else if (!files.isEmpty()) {
    meshplan::gui::OpenRequest request;
    request.model.source = files.front().toStdString();
    request.cluster = parser.value("cluster").toStdString();
    window.session().open(request);
  }
  return QApplication::exec();
}
