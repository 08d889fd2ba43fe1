// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QDialog>
#include <QPushButton>
#include <QTableView>

#include "gui/models/run_table.h"
#include "gui/session.h"

class QSortFilterProxyModel;

namespace meshplan::gui {

/// The runs of a profile store that was opened: choosing one shows its prediction beside its
/// measurement; the store can be what predictions are made from.
class RunsView : public QDialog {
  Q_OBJECT

 public:
  RunsView(Session& session, std::shared_ptr<const OpenStore> store, QWidget* parent = nullptr);

 private:
  void layOut();
  void compare();
  void use();

  Session& session_;
  std::shared_ptr<const OpenStore> store_;
  RunTable table_;
  QSortFilterProxyModel* sorted_;
  QTableView* view_;
  QPushButton *compare_, *use_;
};

}  // namespace meshplan::gui
