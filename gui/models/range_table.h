// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QAbstractTableModel>

#include "gui/models/range_statistics.h"

namespace meshplan::gui {

/// The rows of RangeStatistics as a table. kSortRole gives what columns are sorted by. The
/// last two columns are there for measured rows only: what was predicted, and how far it is off.
class RangeTable : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column { name, phase, runs, time, share, predicted, error };
  static constexpr int kSortRole = Qt::UserRole;

  using QAbstractTableModel::QAbstractTableModel;

  void setRows(std::vector<RangeRow> rows);
  /// Rows of these operators are set in bold.
  void setSelected(std::vector<OpId> sortedOperators);
  const std::vector<RangeRow>& rows() const { return rows_; }
  /// Whether any row was measured.
  bool measured() const;

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  bool isSelected(const RangeRow& row) const;
  QString toolTip(const RangeRow& row) const;

  std::vector<RangeRow> rows_;
  std::vector<OpId> selected_;
};

}  // namespace meshplan::gui
