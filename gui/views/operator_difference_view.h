// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QWidget>
#include <memory>

#include "gui/jobs.h"
#include "gui/models/operator_difference.h"
#include "gui/selection.h"

class QCheckBox;
class QComboBox;
class QLabel;
class QLineEdit;
class QModelIndex;
class QSortFilterProxyModel;
class QTableView;

namespace meshplan::gui {

/// Where two steps differ, operator by operator, with what both are made of below. A click selects
/// the operators of a row, and rows of selected operators stand out. Summed up beside.
class OperatorDifferenceView : public QWidget {
  Q_OBJECT

 public:
  OperatorDifferenceView(Selection& selection, QWidget* parent = nullptr);
  ~OperatorDifferenceView() override;

  /// `selectable`: the first step's operators are those of the open model. Steps of nothing: empty.
  void show(ComparedStep first, ComparedStep second, bool selectable);
  const OperatorDifference& table() const { return table_; }
  bool settled() const { return !jobs_.busy(); }

 Q_SIGNALS:
  void summed();

 private:
  void layOut();
  void refresh();
  void take(StepDifference difference);
  void filter(const QString& words);
  void clicked(const QModelIndex& index);
  void followSelection();

  Selection& selection_;
  Jobs jobs_;
  ComparedStep first_, second_;
  bool selectable_ = false, clicking_ = false;
  OperatorDifference table_;
  QSortFilterProxyModel* sorted_;
  QLineEdit* words_;
  QComboBox* ranks_;
  QCheckBox* fold_;
  QTableView* view_;
  QLabel* totals_;
};

}  // namespace meshplan::gui
