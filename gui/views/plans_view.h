// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QLabel>
#include <QLineEdit>
#include <QTableView>

#include "gui/models/plan_table.h"
#include "gui/selection.h"
#include "gui/session.h"

namespace meshplan::gui {

/// The plans of the search as a table with a filter, a scatter below, and a line to try any
/// strategy: "why not dp=8,tp=1?".
class PlansView : public QWidget {
  Q_OBJECT

 public:
  PlansView(Session& session, Selection& selection, QWidget* parent = nullptr);

  /// The rows that are shown, in their order.
  const QAbstractItemModel& rows() const { return filter_; }

 private:
  void showFound();
  void markShown();
  void showStale();
  bool isShown(const PlanReport& report) const;
  void openRow(const QModelIndex& index);

  Session& session_;
  PlanTable table_;
  PlanFilter filter_;
  QLabel* stale_;
  QTableView* view_;
  QLineEdit *words_, *whyNot_;
};

}  // namespace meshplan::gui
