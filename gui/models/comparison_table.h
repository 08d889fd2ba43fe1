// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QAbstractTableModel>
#include <memory>
#include <vector>

#include "gui/models/compared_step.h"

namespace meshplan::gui {

/// Two steps figure by figure, the second against the first. Of the stage that computes longest,
/// and of the fullest rank; what is known of one side only is a dash on the other.
class ComparisonTable : public QAbstractTableModel {
  Q_OBJECT

 public:
  using QAbstractTableModel::QAbstractTableModel;

  /// Steps of nothing: empty.
  void show(const ComparedStep& first, const ComparedStep& second);

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
  struct Figures;
  static Figures figuresOf(const ComparedStep& step);
  void addTimes(const Figures& a, const Figures& b);
  void addRates(const Figures& a, const Figures& b);
  void addMemory(const Figures& a, const Figures& b);

  std::vector<Row> rows_;
};

}  // namespace meshplan::gui
