// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QAbstractTableModel>
#include <QSortFilterProxyModel>
#include <vector>

#include "planner/search/search.h"

namespace meshplan::gui {

/// What a search found, a plan per row: the plans, best first, then the baselines that are not
/// among them. Qt::UserRole gives the number that a column sorts by.
class PlanTable : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column {
    label,
    step,
    memory,
    mfu,
    throughput,
    replicas,
    tensor,
    pipeline,
    expert,
    microBatch,
    virtualStages,
    zero,
    recompute,
    bubble,
    exposed,
    price,
    origin
  };
  static constexpr int kColumns = origin + 1;

  using QAbstractTableModel::QAbstractTableModel;

  void show(const SearchResult& found, bool tokens);
  const PlanReport& report(int row) const { return reports_[static_cast<size_t>(row)]; }
  /// The row of a strategy, -1 when there is none.
  int rowOf(const std::string& strategy) const;

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  QVariant display(const PlanReport& r, int column) const;
  QString figure(const PlanReport& r, int column) const;
  QVariant number(const PlanReport& r, int column) const;

  std::vector<PlanReport> reports_;
  bool tokens_ = true;
};

/// The rows that satisfy every word of a text: "tp<=4", "mem<60", "pp=2" compare a degree, GiB or
/// milliseconds; other words are looked for in label and strategy. A word that is neither hides
/// everything.
class PlanFilter : public QSortFilterProxyModel {
  Q_OBJECT

 public:
  explicit PlanFilter(QObject* parent = nullptr);

  void setText(const QString& text);

 protected:
  bool filterAcceptsRow(int row, const QModelIndex& parent) const override;

 private:
  QStringList words_;
};

}  // namespace meshplan::gui
