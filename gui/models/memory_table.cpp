// SPDX-License-Identifier: Apache-2.0
#include "gui/models/memory_table.h"

#include "gui/export_table.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

constexpr int kFirstCategory = 2;  // after stage and peak

}  // namespace

MemoryTable::MemoryTable(std::shared_ptr<const ShownPlan> shown, QObject* parent)
    : QAbstractTableModel(parent), shown_(std::move(shown)) {}

int MemoryTable::rowCount(const QModelIndex& parent) const {
  if (parent.isValid() || !shown_) return 0;
  return static_cast<int>(shown_->simulated.timeline.rankClasses.size());
}

int MemoryTable::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : kFirstCategory + kMemoryCategories;
}

QVariant MemoryTable::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  if (role == Qt::TextAlignmentRole) return int(Qt::AlignRight | Qt::AlignVCenter);
  if (role != Qt::DisplayRole && role != kNumberRole) return {};
  if (index.column() == 0) return index.row();
  const RankClassSummary& stage =
      shown_->simulated.timeline.rankClasses[static_cast<size_t>(index.row())];
  const Bytes bytes = index.column() == 1
                          ? stage.peak
                          : stage.peakByCategory[size_t(index.column() - kFirstCategory)];
  if (role == kNumberRole) return qlonglong(bytes.value);
  return text(bytes);
}

QVariant MemoryTable::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == kNumberRole) return section == 0 ? QVariant() : QStringLiteral("bytes");
  if (role != Qt::DisplayRole) return {};
  if (section == 0) return tr("stage");
  if (section == 1) return tr("peak");
  return term(memoryCategoryName(MemoryCategory(section - kFirstCategory)));
}

}  // namespace meshplan::gui
