// SPDX-License-Identifier: Apache-2.0
#include "gui/window_tables.h"

#include <QApplication>
#include <QCoreApplication>
#include <QTableView>
#include <QTreeView>

#include "gui/models/memory_table.h"
#include "gui/models/plan_table.h"
#include "gui/views/memory_view.h"
#include "gui/views/plans_view.h"

namespace meshplan::gui {
namespace {

QString tr(const char* text) {
  return QCoreApplication::translate("WindowTables", text);
}

/// Another's; it is not deleted here.
std::shared_ptr<QAbstractItemModel> borrowed(QAbstractItemModel* model) {
  return {std::shared_ptr<void>(), model};
}

std::vector<const QAbstractItemView*> viewsOf(const QWidget& page) {
  std::vector<const QAbstractItemView*> out;
  for (const auto* view : page.findChildren<const QAbstractItemView*>()) {
    const bool table =
        qobject_cast<const QTableView*>(view) || qobject_cast<const QTreeView*>(view);
    if (table && view->isVisibleTo(&page) && view->model() && view->model()->rowCount() > 0)
      out.push_back(view);
  }
  return out;
}

std::shared_ptr<QAbstractItemModel> paretoFront(const Session& session) {
  SearchResult front;
  front.plans = session.found().pareto;
  auto table = std::make_shared<PlanTable>();
  table->show(front, session.document()->model().tokensPerSample > 1);
  return table;
}

}  // namespace

std::vector<NamedTable> tablesOf(const QWidget& page, const Session& session) {
  std::vector<NamedTable> out;
  for (const QAbstractItemView* view : viewsOf(page))
    out.push_back({view->accessibleName(), borrowed(view->model())});
  if (session.document() && !session.found().pareto.empty() && page.findChild<PlansView*>())
    out.push_back({tr("Pareto front"), paretoFront(session)});
  if (session.shown() && page.findChild<MemoryView*>())
    out.push_back({tr("Memory by category"), std::make_shared<MemoryTable>(session.shown())});
  return out;
}

std::shared_ptr<QAbstractItemModel> currentTable(const QWidget& page, const Session& session) {
  for (const QAbstractItemView* view : viewsOf(page))
    if (view->hasFocus()) return borrowed(view->model());
  const std::vector<NamedTable> tables = tablesOf(page, session);
  return tables.empty() ? nullptr : tables.front().model;
}

}  // namespace meshplan::gui
