// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QComboBox>
#include <QLabel>
#include <QTableView>

#include "gui/models/comparison_table.h"
#include "gui/selection.h"
#include "gui/session.h"

namespace meshplan::gui {

/// Two plans side by side: the pinned ones, and the one that is shown.
class CompareView : public QWidget {
  Q_OBJECT

 public:
  CompareView(Session& session, Selection& selection, QWidget* parent = nullptr);

 private:
  void fillChoices();
  void compare();
  const ShownPlan* chosen(const QComboBox& box) const;

  Session& session_;
  ComparisonTable table_;
  QComboBox *first_, *second_;
  QLabel* empty_;
  QTableView* view_;
};

}  // namespace meshplan::gui
