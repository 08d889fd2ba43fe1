// SPDX-License-Identifier: Apache-2.0
// The desktop app: meshplan-gui [FILE]. With --render VIEW and --out FILE it draws one view of what
// it opens and ends, without a display.
#include <fmt/core.h>

#include <QApplication>
#include <QCommandLineParser>
#include <QFileInfo>
#include <QIcon>
#include <QStandardPaths>
#include <algorithm>

#include "gui/file_kind.h"
#include "gui/main_window.h"
#include "gui/render.h"
#include "gui/translation.h"
#include "profiles/profile_store.h"

namespace meshplan::gui {
namespace {

OpenRequest requestOf(const QString& file, const QCommandLineParser& options) {
  OpenRequest request;
  const bool isPlan = QFileInfo::exists(file) && kindOfFile(file.toStdString()) == FileKind::plan;
  (isPlan ? request.planPath : request.model.source) = file.toStdString();
  request.cluster = options.value("cluster").toStdString();
  request.globalBatch = options.value("global-batch").toLongLong();
  return request;
}

constexpr int kMostPixels = 16384;

QSize sizeOf(const QString& text) {
  if (text.isEmpty()) return {};
  const QStringList parts = text.split('x');
  const QSize size = parts.size() == 2 ? QSize(parts[0].toInt(), parts[1].toInt()) : QSize();
  if (size.isEmpty() || size.width() > kMostPixels || size.height() > kMostPixels)
    throw Error(ErrorKind::usage, "'" + text.toStdString() + "' is no size of a picture",
                "write for example 1600x900");
  return size;
}

int render(const QString& file, const QCommandLineParser& options) {
  try {
    renderView(options.value("render"), requestOf(file, options), options.value("with"),
               options.value("out"), sizeOf(options.value("size")));
    return 0;
  } catch (const Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return exitCode(error.kind());
  }
}

int runWindow(const QString& file, const QCommandLineParser& options) {
  MainWindow window;
  window.session().setProfiles(defaultProfilePath());
  window.restore();
  window.QWidget::show();
  window.keeper().keepIn(QStandardPaths::writableLocation(QStandardPaths::AppDataLocation));
  if (QFileInfo::exists(file))
    window.openFile(file);
  else if (!file.isEmpty())
    window.session().open(requestOf(file, options));
  else
    window.keeper().restore();
  return QApplication::exec();
}

/// --lang de, --lang=de, else the system's; pictures are in English unless they are asked for.
QString languageOf(int argc, char** argv) {
  bool renders = false;
  for (int i = 1; i < argc; ++i) {
    const QString word = QString::fromLocal8Bit(argv[i]);
    if (word == "--lang" && i + 1 < argc) return QString::fromLocal8Bit(argv[i + 1]);
    if (word.startsWith("--lang=")) return word.section('=', 1);
    renders = renders || word == "--render";
  }
  return renders ? QStringLiteral("en") : QLocale::system().name();
}

/// Without a display, what Qt misses of one is nothing to tell.
void tellFailuresOnly(QtMsgType type, const QMessageLogContext&, const QString& text) {
  if (type == QtCriticalMsg || type == QtFatalMsg) fmt::print(stderr, "{}\n", text.toStdString());
}

int run(int argc, char** argv) {
  const auto says = [&](std::string_view option) {
    return std::any_of(argv, argv + argc, [&](const char* word) { return word == option; });
  };
  const bool renders = says("--render");
  if (renders || says("--help") || says("-h") || says("--version") || says("-v"))
    qputenv("QT_QPA_PLATFORM", "offscreen");  // no display is needed
  if (qgetenv("QT_QPA_PLATFORM") == "offscreen") qInstallMessageHandler(tellFailuresOnly);
  QApplication app(argc, argv);
  QApplication::setStyle("fusion");
  QApplication::setOrganizationName("meshplan");
  QApplication::setApplicationName("meshplan");
  QApplication::setApplicationVersion(MESHPLAN_VERSION);
  QApplication::setWindowIcon(QIcon(":/meshplan.svg"));
  speak(app, languageOf(argc, argv));  // before the help is written
  QCommandLineParser options;
  options.setApplicationDescription("Shows how a model is split over devices, and why.");
  options.addPositionalArgument(
      "FILE",
      "A model, plan, cluster, session, timeline or profile store; without it, what was "
      "open last",
      "[FILE]");
  options.addOption({{"c", "cluster"}, "The cluster to plan for", "CLUSTER", "8xH100-SXM"});
  options.addOption({{"b", "global-batch"}, "Samples of a step", "N"});
  options.addOption(
      {"lang", "Language of the app: en or " + translations().join(", "), "LANGUAGE"});
  options.addOption({"render", "Draw a view and end: " + kRenderedViews.join(", "), "VIEW"});
  options.addOption(
      {"with", "What compare holds it against: a plan, a strategy or a run", "OTHER"});
  options.addOption({"out", "The picture to write", "FILE"});
  options.addOption({"size", "Its size in pixels", "WIDTHxHEIGHT"});
  options.addHelpOption();
  options.addVersionOption();
  options.process(app);
  const QString file = options.positionalArguments().value(0);
  if (!renders) return runWindow(file, options);
  QApplication::setPalette(themePalette(Theme::light));
  return render(file, options);
}

}  // namespace
}  // namespace meshplan::gui

int main(int argc, char** argv) {
  return meshplan::gui::run(argc, argv);
}
