// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QAbstractTableModel>

#include "gui/models/step_difference.h"

namespace meshplan::gui {

/// The rows of StepDifference as a table. kSortRole gives what columns are sorted by, kFilterRole
/// the words of a row, kBarRole its difference as a part of the largest one, from -1 to 1.
class OperatorDifference : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column { name, phase, first, second, difference, share, columns };
  static constexpr int kSortRole = Qt::UserRole, kFilterRole = Qt::UserRole + 1,
                       kBarRole = Qt::UserRole + 2;

  using QAbstractTableModel::QAbstractTableModel;

  void setDifference(StepDifference difference);
  const StepDifference& shown() const { return difference_; }
  /// Rows of these operators are set in bold.
  void setSelected(std::vector<OpId> sortedOperators);
  bool isSelected(int row) const;

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  QString cell(const DifferenceRow& row, int column) const;
  QString toolTip(const DifferenceRow& row) const;

  StepDifference difference_;
  double largest_ = 0;
  std::vector<OpId> selected_;
};

/// "The second step is 1.20 ms (12.3 %) longer: idle +900 us, compute +300 us", as rich text.
QString headline(const StepDifference& difference);
/// What each step is made of, and that it adds up, as rich text.
QString totalsText(const StepDifference& difference);

}  // namespace meshplan::gui
