// SPDX-License-Identifier: Apache-2.0
// Tables as CSV and Markdown.
#include "gui/export_table.h"

#include <gtest/gtest.h>

#include <QAction>
#include <QClipboard>
#include <QFile>
#include <QFileInfo>
#include <QGuiApplication>
#include <QProcess>
#include <QSettings>
#include <QStackedWidget>
#include <QStandardItemModel>
#include <QTemporaryDir>
#include <QTest>

#include "core/error.h"
#include "gui/main_window.h"
#include "gui/models/memory_table.h"
#include "gui/window_tables.h"
#include "tests/gui/open_model.h"

namespace meshplan::gui {
namespace {

/// Reads CSV as RFC 4180 says.
std::vector<QStringList> parseCsv(const QString& text) {
  std::vector<QStringList> rows;
  QStringList cells;
  QString cell;
  bool quoted = false;
  for (qsizetype i = 0; i < text.size(); ++i) {
    const QChar c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      cell += c;
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && c == ',') {
      cells << std::exchange(cell, {});
    } else if (!quoted && c == '\n') {
      cells << std::exchange(cell, {});
      rows.push_back(std::exchange(cells, {}));
    } else if (quoted || c != '\r') {
      cell += c;
    }
  }
  return rows;
}

TEST(ExportTable, CsvHoldsAnyTextAndNumbersInFull) {
  QStandardItemModel model(2, 2);
  model.setHorizontalHeaderLabels({"name", "time"});
  model.setHeaderData(1, Qt::Horizontal, "s", kNumberRole);
  model.setData(model.index(0, 0), "a \"quoted\", text\nof two lines");
  model.setData(model.index(0, 1), "1.5 ms");
  model.setData(model.index(0, 1), 0.1 + 0.2, kNumberRole);
  model.setData(model.index(1, 0), "plain");
  const QString text = tableText(model, TableFormat::csv);
  EXPECT_TRUE(text.endsWith("plain,\r\n"));
  const auto rows = parseCsv(text);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0], (QStringList{"name", "time (s)"}));
  EXPECT_EQ(rows[1][0], "a \"quoted\", text\nof two lines");
  EXPECT_EQ(rows[1][1].toDouble(), 0.1 + 0.2);
}

TEST(ExportTable, MarkdownKeepsItsColumns) {
  QStandardItemModel model(1, 2);
  model.setHorizontalHeaderLabels({"name", "time"});
  model.setData(model.index(0, 0), "a | b\nc");
  model.setData(model.index(0, 1), "1.5 ms");
  model.setData(model.index(0, 1), 0.0015, kNumberRole);
  model.setData(model.index(0, 1), int(Qt::AlignRight), Qt::TextAlignmentRole);
  EXPECT_EQ(tableText(model, TableFormat::markdown),
            "| name | time |\n| --- | --: |\n| a \\| b<br>c | 1.5 ms |\n");
}

TEST(ExportTable, ATreeTellsItsLevels) {
  QStandardItemModel model;
  model.setHorizontalHeaderLabels({"name"});
  auto* top = new QStandardItem("model");
  top->appendRow(new QStandardItem("layer"));
  model.appendRow(top);
  EXPECT_EQ(tableText(model, TableFormat::csv), "level,name\r\n0,model\r\n1,layer\r\n");
  EXPECT_TRUE(tableText(model, TableFormat::markdown).contains("| &nbsp;&nbsp;layer |"));
}

TEST(ExportTable, RefusesOtherNamesAndLeavesWhatWasThere) {
  QTemporaryDir folder;
  QStandardItemModel model(1, 1);
  EXPECT_THROW(exportTable(model, folder.filePath("table.xls")), Error);
  EXPECT_FALSE(QFile::exists(folder.filePath("table.xls")));
  EXPECT_THROW(exportTable(model, folder.filePath("nowhere/table.csv")), Error);
}

class WindowTables : public testing::Test {
 protected:
  void SetUp() override {
    QSettings::setPath(QSettings::NativeFormat, QSettings::UserScope, folder.path());
    QApplication::setOrganizationName("meshplan-test");
    window.resize(1440, 900);
    window.QWidget::show();
    OpenRequest request = smallGpt();
    window.session().open(request);
    Session& s = window.session();
    ASSERT_TRUE(QTest::qWaitFor([&] { return s.shown() && !s.busy(); }, kWaitMs));
  }
  std::vector<NamedTable> tables(MainWindow::Workspace workspace) {
    window.show(workspace);
    return tablesOf(*window.centralWidget()->findChild<QStackedWidget*>()->currentWidget(),
                    window.session());
  }

  QTemporaryDir folder;
  MainWindow window;
};

TEST_F(WindowTables, EveryPageHasItsTables) {
  using Workspace = MainWindow::Workspace;
  const size_t pareto = window.session().found().pareto.size();
  EXPECT_EQ(tables(Workspace::model).size(), 1u);
  const auto plan = tables(Workspace::plan);
  ASSERT_EQ(plan.size(), 3u);
  EXPECT_EQ(size_t(plan[1].model->rowCount()), pareto);
  EXPECT_EQ(tables(Workspace::timeline).size(), 1u);
  EXPECT_TRUE(tables(Workspace::compare).empty());
  window.session().pin();
  window.session().tryStrategy("tp=2", "try");
  ASSERT_TRUE(QTest::qWaitFor(
      [&] { return window.session().shown()->report.plan.mesh.tensor == 2; }, kWaitMs));
  EXPECT_GE(tables(Workspace::compare).size(), 1u);
  for (const auto workspace :
       {Workspace::model, Workspace::plan, Workspace::timeline, Workspace::compare})
    for (const NamedTable& table : tables(workspace)) {
      EXPECT_FALSE(table.name.isEmpty());
      const auto rows = parseCsv(tableText(*table.model, TableFormat::csv));
      ASSERT_GT(rows.size(), 1u) << table.name.toStdString();
      for (const QStringList& row : rows)
        EXPECT_EQ(row.size(), rows[0].size()) << table.name.toStdString();
    }
}

TEST_F(WindowTables, ThePlansTableHasTheNumbersBehindItsTexts) {
  const auto rows =
      parseCsv(tableText(*tables(MainWindow::Workspace::plan)[0].model, TableFormat::csv));
  const auto step = rows[0].indexOf("step (s)"), memory = rows[0].indexOf("memory (bytes)");
  ASSERT_GE(step, 0);
  ASSERT_GE(memory, 0);
  const PlanReport& best = window.session().found().plans.front();
  EXPECT_EQ(rows[1][step].toDouble(), best.stepTime.value);
  EXPECT_EQ(rows[1][memory].toLongLong(), best.peakMemory.value);
}

TEST_F(WindowTables, MemoryByCategoryAddsUpToThePeak) {
  const MemoryTable table(window.session().shown());
  ASSERT_GT(table.rowCount(), 0);
  for (int r = 0; r < table.rowCount(); ++r) {
    qlonglong sum = 0;
    for (int c = 2; c < table.columnCount(); ++c)
      sum += table.index(r, c).data(kNumberRole).toLongLong();
    EXPECT_EQ(sum, table.index(r, 1).data(kNumberRole).toLongLong()) << r;
  }
}

TEST_F(WindowTables, TheClipboardTakesTheTableOfThePage) {
  window.show(MainWindow::Workspace::plan);
  QTest::keyClick(&window, Qt::Key_C, Qt::ControlModifier | Qt::ShiftModifier);
  EXPECT_TRUE(QGuiApplication::clipboard()->text().startsWith("| plan | step |"));
}

TEST(RenderedTable, ComesFromTheCommandLine) {
  QTemporaryDir folder;
  for (const char* name : {"plans.csv", "plans.md", "plans.svg", "memory.csv", "model.md"}) {
    QProcess app;
    const QString path = folder.filePath(name);
    app.start(MESHPLAN_GUI_PROGRAM, {"--render", QString(name).section('.', 0, 0), "--out", path,
                                     "gpt2", "-c", "8xA100-SXM-80GB"});
    ASSERT_TRUE(app.waitForFinished(kWaitMs)) << name;
    EXPECT_EQ(app.exitCode(), 0) << name << app.readAllStandardError().toStdString();
    EXPECT_GT(QFileInfo(path).size(), 100) << name;
  }
  QProcess app;
  app.start(MESHPLAN_GUI_PROGRAM,
            {"--render", "timeline", "--out", folder.filePath("t.csv"), "gpt2"});
  ASSERT_TRUE(app.waitForFinished(kWaitMs));
  EXPECT_EQ(app.exitCode(), 2);
}

}  // namespace
}  // namespace meshplan::gui
