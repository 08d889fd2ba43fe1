// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QActionGroup>
#include <QLabel>
#include <QMainWindow>
#include <QProgressBar>
#include <QStackedWidget>
#include <QToolBar>

#include "gui/export_table.h"
#include "gui/palette.h"
#include "gui/selection.h"
#include "gui/session.h"
#include "gui/session_keeper.h"

namespace meshplan::gui {

class PlansView;
class StartPage;
class SummaryView;
class TimelineView;

/// The window: workspaces, docks, menus. What a view shows is its own business.
class MainWindow : public QMainWindow {
  Q_OBJECT

 public:
  enum class Workspace { model, plan, timeline, compare };

  explicit MainWindow(QWidget* parent = nullptr);
  ~MainWindow() override;

  Session& session() { return session_; }
  Selection& selection() { return selection_; }
  void show(Workspace workspace);
  void openFile(const QString& path);
  void setTheme(Theme theme);
  /// Places of docks and of the window, as they were left.
  void restore();
  SessionKeeper& keeper() { return keeper_; }

 protected:
  void closeEvent(QCloseEvent* event) override;
  void dragEnterEvent(QDragEnterEvent* event) override;
  void dropEvent(QDropEvent* event) override;

 private:
  void addWorkspaces();
  void addDocks();
  void addToolBar();
  void addMenus();
  void addFileMenu();
  void addViewMenu();
  void chooseModel();
  void chooseFile();
  void savePlan();
  void saveSession();
  void connectKeeper();
  void readSession(const SessionFile& file);
  void exportView();
  void forgetSelection();
  void addTables(QMenu& menu);
  void exportTableTo(const QString& name, const QAbstractItemModel& model);
  void copyTable(TableFormat format);
  void showDocument();
  void showSearch();
  void showTrace();
  void showFailure(const QString& problem, const QString& remedy);
  void remember(const QString& path);
  void addPage(Workspace workspace, const QString& name, QWidget* page);

  Session session_;
  Selection selection_;
  const Planning* selectedIn_ = nullptr;  // only compared
  SessionKeeper keeper_{session_, selection_};
  QStackedWidget* pages_;
  StartPage* start_ = nullptr;
  SummaryView* summary_ = nullptr;
  TimelineView* timeline_ = nullptr;
  QToolBar* bar_ = nullptr;
  QActionGroup* workspaces_;
  QAction *search_ = nullptr, *stop_ = nullptr, *change_ = nullptr;
  QLabel* title_ = nullptr;
  QLabel* searchText_ = nullptr;
  QProgressBar* progress_ = nullptr;
};

}  // namespace meshplan::gui
