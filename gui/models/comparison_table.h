// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QAbstractTableModel>
#include <memory>
#include <vector>

#include "gui/document.h"

namespace meshplan::gui {

/// Two plans figure by figure, the second against the first.
class ComparisonTable : public QAbstractTableModel {
  Q_OBJECT

 public:
  using QAbstractTableModel::QAbstractTableModel;

  /// Either may be null.
  void show(const ShownPlan* first, const ShownPlan* second);

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  struct Row {
    QString name, first, second, change;
    double difference = 0;  // relative; above 0 where the second is worse
    bool heading = false;
  };
  void addTimes(const PlanReport& a, const PlanReport& b);
  void addMemory(const PlanReport& a, const PlanReport& b);

  std::vector<Row> rows_;
};

}  // namespace meshplan::gui
