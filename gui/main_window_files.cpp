// SPDX-License-Identifier: Apache-2.0
// What the window opens, saves and exports.
#include <QClipboard>
#include <QDragEnterEvent>
#include <QFileDialog>
#include <QFileInfo>
#include <QGuiApplication>
#include <QMenu>
#include <QMenuBar>
#include <QMimeData>
#include <QSaveFile>
#include <QSettings>
#include <QStatusBar>

#include "gui/export_view.h"
#include "gui/main_window.h"
#include "gui/text.h"
#include "gui/views/start_page.h"
#include "gui/views/timeline_view.h"
#include "gui/window_tables.h"

namespace meshplan::gui {
namespace {

constexpr int kRecentFiles = 8;
constexpr int kNoticeMs = 15000;

}  // namespace

void MainWindow::chooseFile() {
  const QString path = QFileDialog::getOpenFileName(
      this, tr("Open a file"), {},
      tr("Models, plans, clusters, sessions, timelines and profiles (*.onnx *.json *.json.gz *.txt "
         "*.meshplan *.pftrace *.db);;All files (*)"));
  if (!path.isEmpty()) openFile(path);
}

void MainWindow::openFile(const QString& path) {
  remember(path);
  if (QFileInfo(path).suffix() == "meshplan") return keeper_.open(path);
  session_.openFile(path);
}

void MainWindow::remember(const QString& path) {
  QSettings settings;
  QStringList files = settings.value("recent").toStringList();
  files.removeAll(path);
  files.prepend(path);
  while (files.size() > kRecentFiles) files.removeLast();
  settings.setValue("recent", files);
  start_->showRecent(files);
}

void MainWindow::savePlan() {
  const auto& shown = session_.shown();
  if (!shown) return;
  const QString path =
      QFileDialog::getSaveFileName(this, tr("Save the plan"), "plan.json", tr("Plans (*.json)"));
  if (path.isEmpty()) return;
  QSaveFile file(path);
  const std::string json = planToJson(planFileOf(shown->document->planning(), shown->report));
  if (!file.open(QIODevice::WriteOnly) || file.write(json.data(), qint64(json.size())) < 0 ||
      !file.commit())
    showFailure(tr("%1 cannot be written: %2").arg(path, file.errorString()),
                tr("check the folder and the free space"));
}

void MainWindow::saveSession() {
  if (!session_.document()) return;
  const QString path = QFileDialog::getSaveFileName(
      this, tr("Save the session as"), "session.meshplan", tr("Sessions (*.meshplan)"));
  if (path.isEmpty()) return;
  try {
    keeper_.saveAs(path);
    remember(path);
  } catch (const Error& error) {
    showFailure(text(error.file() + ": " + error.problem()), text(error.remedy()));
  }
}

void MainWindow::connectKeeper() {
  connect(&keeper_, &SessionKeeper::told, this, &MainWindow::showFailure);
  connect(pages_, &QStackedWidget::currentChanged, &keeper_, &SessionKeeper::touch);
  connect(&timeline_->state().window(), &TimeWindow::changed, &keeper_, &SessionKeeper::touch);
  keeper_.setWindow(
      [this](SessionFile& file) {
        if (const QAction* action = workspaces_->checkedAction())
          file.workspace = action->objectName().section(':', 1).toStdString();
        const TimeWindow& window = timeline_->state().window();
        if (window.length() < window.stepTime()) file.window = {window.begin(), window.end()};
      },
      [this](const SessionFile& file) { readSession(file); });
}

void MainWindow::readSession(const SessionFile& file) {
  const QString name = "workspace:" + text(file.workspace);
  for (QAction* action : workspaces_->actions())
    if (action->objectName() == name) action->trigger();
  if (!file.window) return;
  const auto look = [this, range = *file.window] {
    timeline_->state().window().show(range.first, range.second);
  };
  if (timeline_->state().scene()) return look();
  connect(&timeline_->state(), &TimelineState::sceneChanged, this, look, Qt::SingleShotConnection);
}

void MainWindow::exportView() {
  QWidget* page = pages_->currentWidget();
  const QString path = QFileDialog::getSaveFileName(this, tr("Export this view"), "view.png",
                                                    tr("Pictures (*.png *.svg *.pdf)"));
  if (path.isEmpty()) return;
  if (!exportWidget(*page, path))
    showFailure(tr("%1 cannot be written").arg(path), tr("end it in .png, .svg or .pdf"));
}

/// The tables of the page, whatever it is then.
void MainWindow::addTables(QMenu& menu) {
  menu.clear();
  for (const NamedTable& table : tablesOf(*pages_->currentWidget(), session_))
    menu.addAction(table.name + QStringLiteral(" …"), this,
                   [this, table] { exportTableTo(table.name, *table.model); });
  if (menu.isEmpty()) menu.addAction(tr("No table is on this page"))->setEnabled(false);
}

void MainWindow::exportTableTo(const QString& name, const QAbstractItemModel& model) {
  const QString path = QFileDialog::getSaveFileName(this, tr("Export the table “%1”").arg(name),
                                                    "table.csv", tr("Tables (*.csv *.md)"));
  if (path.isEmpty()) return;
  try {
    exportTable(model, path);
  } catch (const Error& error) {
    showFailure(text(error.what()), {});
  }
}

void MainWindow::copyTable(TableFormat format) {
  const auto table = currentTable(*pages_->currentWidget(), session_);
  if (!table) return statusBar()->showMessage(tr("No table is on this page."), kNoticeMs);
  QGuiApplication::clipboard()->setText(tableText(*table, format));
  statusBar()->showMessage(tr("The table is on the clipboard."), kNoticeMs);
}

void MainWindow::dragEnterEvent(QDragEnterEvent* event) {
  if (event->mimeData()->hasUrls()) event->acceptProposedAction();
}

void MainWindow::dropEvent(QDropEvent* event) {
  const QList<QUrl> urls = event->mimeData()->urls();
  if (!urls.isEmpty()) openFile(urls.front().toLocalFile());
}

void MainWindow::addFileMenu() {
  QMenu* file = menuBar()->addMenu(tr("&File"));
  QAction* chosen =
      file->addAction(tr("&Plan a model …"), QKeySequence::New, this, &MainWindow::chooseModel);
  chosen->setObjectName("chooseModel");
  file->addAction(tr("&Open …"), QKeySequence::Open, this, &MainWindow::chooseFile);
  file->addAction(tr("&Save the plan …"), QKeySequence::Save, this, &MainWindow::savePlan);
  file->addAction(tr("Save the sess&ion as …"), this, &MainWindow::saveSession);
  file->addAction(tr("&Export this view …"), QKeySequence("Ctrl+Shift+E"), this,
                  &MainWindow::exportView);
  QMenu* tables = file->addMenu(tr("Export a &table"));
  connect(tables, &QMenu::aboutToShow, this, [this, tables] { addTables(*tables); });
  file->addSeparator();
  file->addAction(tr("&Quit"), QKeySequence::Quit, this, &QWidget::close);
}

}  // namespace meshplan::gui
