// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QAbstractTableModel>
#include <memory>

#include "gui/document.h"

namespace meshplan::gui {

/// Memory at the peak of each stage, by category. Without a plan it is empty.
class MemoryTable : public QAbstractTableModel {
  Q_OBJECT

 public:
  explicit MemoryTable(std::shared_ptr<const ShownPlan> shown, QObject* parent = nullptr);

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  std::shared_ptr<const ShownPlan> shown_;
};

}  // namespace meshplan::gui
