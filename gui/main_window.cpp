// SPDX-License-Identifier: Apache-2.0
#include "gui/main_window.h"

#include <QAbstractItemView>
#include <QApplication>
#include <QCloseEvent>
#include <QDockWidget>
#include <QFileInfo>
#include <QMenuBar>
#include <QMessageBox>
#include <QScrollArea>
#include <QSettings>
#include <QSplitter>
#include <QStatusBar>
#include <QVBoxLayout>

#include "gui/text.h"
#include "gui/views/command_palette.h"
#include "gui/views/compare_view.h"
#include "gui/views/keys_view.h"
#include "gui/views/memory_view.h"
#include "gui/views/model_dialog.h"
#include "gui/views/model_view.h"
#include "gui/views/placement_view.h"
#include "gui/views/plans_view.h"
#include "gui/views/range_view.h"
#include "gui/views/run_view.h"
#include "gui/views/runs_view.h"
#include "gui/views/stages_view.h"
#include "gui/views/start_page.h"
#include "gui/views/summary_view.h"
#include "gui/views/timeline_view.h"
#include "gui/views/what_if_view.h"

namespace meshplan::gui {
namespace {

constexpr int kNoticeMs = 15000;

QScrollArea* scrolled(QWidget* view) {
  auto* area = new QScrollArea;
  area->setWidget(view);
  area->setWidgetResizable(true);
  area->setFrameShape(QFrame::NoFrame);
  area->setMinimumHeight(120);
  area->setFocusPolicy(Qt::NoFocus);  // what is in it has it
  return area;
}

/// The same in every language.
QString workspaceName(MainWindow::Workspace workspace) {
  static const char* const kNames[] = {"model", "plan", "timeline", "compare"};
  return QStringLiteral("workspace:") + kNames[static_cast<int>(workspace)];
}

}  // namespace

MainWindow::MainWindow(QWidget* parent)
    : QMainWindow(parent), pages_(new QStackedWidget(this)), workspaces_(new QActionGroup(this)) {
  setWindowTitle(tr("Meshplan"));
  setObjectName("MainWindow");
  setAcceptDrops(true);
  setDockNestingEnabled(true);
  setMinimumSize(900, 600);
  // Before any view looks at the new one.
  connect(&session_, &Session::documentChanged, this, &MainWindow::forgetSelection);
  summary_ = new SummaryView(session_, selection_, this);
  auto* centre = new QWidget(this);
  auto* column = new QVBoxLayout(centre);
  column->setContentsMargins(0, 0, 0, 0);
  column->setSpacing(0);
  column->addWidget(summary_);
  column->addWidget(pages_, 1);
  setCentralWidget(centre);
  addToolBar();
  addWorkspaces();
  addDocks();
  addMenus();
  // Tab leaves a table; arrows move in it.
  for (auto* view : findChildren<QAbstractItemView*>()) view->setTabKeyNavigation(false);
  connect(&session_, &Session::documentChanged, this, &MainWindow::showDocument);
  connect(&session_, &Session::searchChanged, this, &MainWindow::showSearch);
  connect(&session_, &Session::busyChanged, this, &MainWindow::showSearch);
  connect(&session_, &Session::failed, this, &MainWindow::showFailure);
  connect(&session_, &Session::noticed, this,
          [this](const QString& words) { statusBar()->showMessage(words, kNoticeMs); });
  connect(&session_, &Session::comparedChanged, this, [this] { show(Workspace::timeline); });
  connect(&session_, &Session::traceChanged, this, &MainWindow::showTrace);
  connect(&session_, &Session::storeOpened, this,
          [this](const auto& store) { (new RunsView(session_, store, this))->show(); });
  connect(start_, &StartPage::chosen, &session_, &Session::open);
  connect(start_, &StartPage::fileChosen, this, &MainWindow::openFile);
  connect(start_, &StartPage::choosePressed, this, &MainWindow::chooseModel);
  connect(start_, &StartPage::openPressed, this, &MainWindow::chooseFile);
  connectKeeper();
  statusBar()->showMessage(tr("Press an example, or open a model."));
  showDocument();
  showSearch();
}

MainWindow::~MainWindow() = default;

void MainWindow::addPage(Workspace workspace, const QString& name, QWidget* page) {
  pages_->addWidget(page);
  auto* action = workspaces_->addAction(name);
  action->setCheckable(true);
  action->setObjectName(workspaceName(workspace));
  action->setShortcut(QKeySequence(Qt::CTRL | (Qt::Key_1 + static_cast<int>(workspace))));
  action->setToolTip(QStringLiteral("%1 (%2)").arg(name, action->shortcut().toString()));
  connect(action, &QAction::triggered, this, [this, workspace] { show(workspace); });
  bar_->addAction(action);
}

void MainWindow::addWorkspaces() {
  start_ = new StartPage(pages_);
  start_->showRecent(QSettings().value("recent").toStringList());
  pages_->addWidget(start_);
  addPage(Workspace::model, tr("Model"), new ModelView(session_, selection_, pages_));
  auto* plan = new QSplitter(Qt::Horizontal);
  auto* plans = new PlansView(session_, selection_, plan);
  auto* devices = new QWidget;
  auto* below = new QVBoxLayout(devices);
  below->setSpacing(12);
  below->addWidget(new PlacementView(session_, selection_, devices));
  below->addWidget(new StagesView(session_, selection_, devices));
  below->addWidget(new MemoryView(session_, selection_, devices));
  below->addStretch(1);
  plan->addWidget(plans);
  plan->addWidget(scrolled(devices));
  plan->setSizes({3000, 2000});
  plan->setChildrenCollapsible(false);
  addPage(Workspace::plan, tr("Plan"), plan);
  auto* step = new QSplitter(Qt::Vertical);
  timeline_ = new TimelineView(session_, selection_, step);
  step->addWidget(timeline_);
  auto* range = new RangeView(session_, selection_, step);
  step->addWidget(range);
  connect(timeline_, &TimelineView::runShownChanged, range, &RangeView::showRun);
  step->setSizes({2600, 1400});
  step->setChildrenCollapsible(false);
  addPage(Workspace::timeline, tr("Timeline"), step);
  addPage(Workspace::compare, tr("Compare"), new CompareView(session_, selection_, pages_));
}

void MainWindow::addDocks() {
  const auto dock = [this](const QString& name, QWidget* view, Qt::DockWidgetArea area) {
    auto* made = new QDockWidget(name, this);
    made->setObjectName("dock:" + view->objectName());
    made->setWidget(view);
    addDockWidget(area, made);
    return made;
  };
  auto* whatIf = scrolled(new WhatIfView(session_, selection_));
  whatIf->setObjectName("whatIf");
  whatIf->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  whatIf->setMinimumWidth(fontMetrics().averageCharWidth() * 58);
  dock(tr("What if"), whatIf, Qt::RightDockWidgetArea);
  dock(tr("Run on this machine"), new RunView(session_, selection_), Qt::RightDockWidgetArea);
}

void MainWindow::addToolBar() {
  bar_ = QMainWindow::addToolBar(tr("Tools"));
  bar_->setObjectName("tools");
  bar_->setMovable(false);
  title_ = new QLabel(this);
  title_->setContentsMargins(8, 0, 12, 0);
  searchText_ = new QLabel(this);
  progress_ = new QProgressBar(this);
  progress_->setMaximumWidth(160);
  progress_->setAccessibleName(tr("Progress of the search"));
  search_ = new QAction(tr("Search"), this);
  search_->setObjectName("search");
  search_->setShortcut(Qt::Key_F5);
  search_->setToolTip(tr("Search for the best plan (F5)"));
  stop_ = new QAction(tr("Stop"), this);
  stop_->setObjectName("stop");
  stop_->setToolTip(tr("End the search with the best plan so far"));
  connect(search_, &QAction::triggered, this, [this] { session_.startSearch(); });
  connect(stop_, &QAction::triggered, &session_, &Session::stopSearch);
  statusBar()->addPermanentWidget(searchText_);
  statusBar()->addPermanentWidget(progress_);
  bar_->addWidget(title_);
  change_ = bar_->addAction(tr("Change …"), this, &MainWindow::chooseModel);
  change_->setObjectName("change");
  change_->setToolTip(tr("Another model, cluster or batch (Ctrl+N)"));
  bar_->addSeparator();
}

void MainWindow::addMenus() {
  auto* spread = new QWidget(this);
  spread->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Preferred);
  bar_->addWidget(spread);
  bar_->addAction(search_);
  bar_->addAction(stop_);
  addFileMenu();
  QMenu* edit = menuBar()->addMenu(tr("&Edit"));
  QAction* undo = session_.edits().createUndoAction(this);
  undo->setShortcut(QKeySequence::Undo);
  QAction* redo = session_.edits().createRedoAction(this);
  redo->setShortcut(QKeySequence::Redo);
  edit->addActions({undo, redo});
  edit->addSeparator();
  edit->addAction(tr("Copy this table as &Markdown"), QKeySequence("Ctrl+Shift+C"), this,
                  [this] { copyTable(TableFormat::markdown); });
  edit->addAction(tr("Copy this table as &CSV"), this, [this] { copyTable(TableFormat::csv); });
  QMenu* plan = menuBar()->addMenu(tr("&Plan"));
  plan->addActions({search_, stop_});
  plan->addSeparator();
  plan->addAction(tr("&Pin to compare"), QKeySequence("Ctrl+B"), &session_, &Session::pin);
  addViewMenu();
  QMenu* help = menuBar()->addMenu(tr("&Help"));
  help->addAction(tr("&Commands …"), QKeySequence("Ctrl+Shift+P"), this,
                  [this] { (new CommandPalette(this))->show(); });
  help->addAction(tr("&Keys"), QKeySequence::HelpContents, this,
                  [this] { (new KeysView(this))->show(); });
  help->addAction(tr("&About Meshplan"), this, [this] {
    QMessageBox::about(this, tr("Meshplan"),
                       tr("Meshplan %1 plans, simulates and runs the training of neural networks "
                          "over many devices.")
                           .arg(MESHPLAN_VERSION));
  });
}

void MainWindow::addViewMenu() {
  QMenu* view = menuBar()->addMenu(tr("&View"));
  view->addActions(workspaces_->actions());
  view->addSeparator();
  for (QDockWidget* dock : findChildren<QDockWidget*>()) view->addAction(dock->toggleViewAction());
  view->addSeparator();
  QMenu* themes = view->addMenu(tr("&Theme"));
  const std::pair<QString, Theme> all[] = {
      {tr("As the system"), Theme::system}, {tr("Light"), Theme::light}, {tr("Dark"), Theme::dark}};
  for (const auto& [name, theme] : all)
    themes->addAction(name, this, [this, theme = theme] {
      setTheme(theme);
      QSettings().setValue("theme", static_cast<int>(theme));
    });
}

void MainWindow::show(Workspace workspace) {
  pages_->setCurrentIndex(1 + static_cast<int>(workspace));
  workspaces_->actions()[static_cast<int>(workspace)]->setChecked(true);
}

void MainWindow::setTheme(Theme theme) {
  QApplication::setPalette(themePalette(theme));
}

/// What was selected is of the model that was open.
void MainWindow::forgetSelection() {
  const Planning* planning = session_.document() ? &session_.document()->planning() : nullptr;
  if (planning != selectedIn_) selection_.clear();
  selectedIn_ = planning;
}

void MainWindow::showDocument() {
  const auto& document = session_.document();
  for (QAction* action : workspaces_->actions())
    action->setEnabled(document || (session_.trace() && action->objectName().endsWith("timeline")));
  for (QDockWidget* dock : findChildren<QDockWidget*>()) dock->setVisible(document != nullptr);
  search_->setEnabled(document != nullptr);
  change_->setVisible(document != nullptr);
  summary_->setVisible(document != nullptr);
  if (!document) {
    title_->setText(tr("Meshplan"));
    pages_->setCurrentIndex(0);
    return;
  }
  const std::string parameters =
      countText(static_cast<double>(document->model().graph.parameterCount()));
  statusBar()->clearMessage();
  title_->setText(tr("<b>%1</b> (%2 parameters) on <b>%3</b>, global batch %4")
                      .arg(text(document->planning().modelName()), text(parameters),
                           text(document->cluster().name))
                      .arg(document->globalBatch()));
  setWindowTitle(tr("%1 – Meshplan").arg(text(document->planning().modelName())));
  if (pages_->currentIndex() == 0) show(Workspace::plan);
}

void MainWindow::showSearch() {
  const SearchState& search = session_.search();
  stop_->setEnabled(search.running);
  const bool simulating = search.running && search.toSimulate > 0;
  progress_->setVisible(session_.busy());
  progress_->setRange(0, simulating ? static_cast<int>(search.toSimulate) : 0);
  progress_->setValue(static_cast<int>(search.simulated));
  const QString candidates = text(groupedText(static_cast<double>(search.evaluated)));
  if (search.running)
    searchText_->setText(
        (simulating ? tr("%1 candidates, %2 of %3 simulated")
                          .arg(candidates)
                          .arg(search.simulated)
                          .arg(search.toSimulate)
                    : tr("%1 candidates").arg(candidates)) +
        (search.best.value > 0 ? tr(", best so far %1").arg(text(search.best)) : QString()));
  else if (search.evaluated > 0)
    searchText_->setText(
        tr("searched %1 candidates, simulated %2").arg(candidates).arg(search.simulated));
  else
    searchText_->clear();
}

/// A timeline file in the place of the shown plan's; it needs no model.
void MainWindow::showTrace() {
  const auto& trace = session_.trace();
  if (!trace || !session_.document()) showDocument();
  if (!trace) return;
  const QString name = QFileInfo(text(trace->path)).fileName();
  selection_.clear();
  timeline_->showScene(trace->scene);
  show(Workspace::timeline);
  statusBar()->clearMessage();
  title_->setText(tr("Timeline <b>%1</b>").arg(name.toHtmlEscaped()));
  setWindowTitle(tr("%1 – Meshplan").arg(name));
}

void MainWindow::showFailure(const QString& problem, const QString& remedy) {
  QMessageBox box(QMessageBox::Warning, tr("Meshplan"), problem, QMessageBox::Ok, this);
  box.setObjectName("failure");
  box.setInformativeText(remedy);
  box.exec();
}

void MainWindow::chooseModel() {
  const auto& document = session_.document();
  ModelDialog dialog(document ? document->request() : OpenRequest(), this);
  if (dialog.exec() == QDialog::Accepted) session_.open(dialog.request());
}

void MainWindow::restore() {
  const QSettings settings;
  setTheme(static_cast<Theme>(settings.value("theme", 0).toInt()));
  if (!restoreGeometry(settings.value("geometry").toByteArray())) resize(1440, 900);
  restoreState(settings.value("docks").toByteArray());
  showDocument();
}

void MainWindow::closeEvent(QCloseEvent* event) {
  QSettings settings;
  settings.setValue("geometry", saveGeometry());
  if (session_.document()) settings.setValue("docks", saveState());
  keeper_.flush();
  QMainWindow::closeEvent(event);
}

}  // namespace meshplan::gui
