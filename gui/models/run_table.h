// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QAbstractTableModel>
#include <vector>

#include "profiles/measurement.h"

namespace meshplan::gui {

/// The runs of a profile store: what was predicted for a step of each and what was measured.
class RunTable : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column { id, model, strategy, ranks, when, predicted, measured, error, kColumns };
  static constexpr int kSortRole = Qt::UserRole;

  using QAbstractTableModel::QAbstractTableModel;

  void setRuns(std::vector<RunMeasurement> runs);
  const RunMeasurement& run(int row) const { return runs_[static_cast<size_t>(row)]; }

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  QString textOf(const RunMeasurement& run, int column) const;
  QVariant numberOf(const RunMeasurement& run, int column) const;
  QVariant valueOf(const RunMeasurement& run, int column) const;

  std::vector<RunMeasurement> runs_;
};

}  // namespace meshplan::gui
