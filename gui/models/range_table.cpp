// SPDX-License-Identifier: Apache-2.0
#include "gui/models/range_table.h"

#include <QFont>
#include <algorithm>

#include "app/human.h"
#include "gui/export_table.h"

namespace meshplan::gui {
namespace {

QString text(const RangeRow& row, int column) {
  switch (column) {
    case RangeTable::name:
      return QString::fromStdString(row.name);
    case RangeTable::phase:
      return QString::fromStdString(row.phase);
    case RangeTable::runs:
      return QString::fromStdString(groupedText(double(row.runs)));
    case RangeTable::time:
      return QString::fromStdString(secondsText(row.time));
    default:
      return QString::fromStdString(percentText(row.share));
  }
}

QVariant sortValue(const RangeRow& row, int column) {
  switch (column) {
    case RangeTable::runs:
      return qlonglong(row.runs);
    case RangeTable::time:
    case RangeTable::share:
      return row.time.value;
    default:
      return text(row, column);
  }
}

}  // namespace

void RangeTable::setRows(std::vector<RangeRow> rows) {
  beginResetModel();
  rows_ = std::move(rows);
  endResetModel();
}

void RangeTable::setSelected(std::vector<OpId> operators) {
  selected_ = std::move(operators);
  if (!rows_.empty())
    Q_EMIT dataChanged(index(0, 0), index(int(rows_.size()) - 1, columns - 1), {Qt::FontRole});
}

bool RangeTable::isSelected(const RangeRow& row) const {
  return std::any_of(selected_.begin(), selected_.end(), [&](OpId op) {
    return std::binary_search(row.operators.begin(), row.operators.end(), op);
  });
}

int RangeTable::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : int(rows_.size());
}
int RangeTable::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : columns;
}

QVariant RangeTable::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  const RangeRow& row = rows_[size_t(index.row())];
  if (role == Qt::DisplayRole) return text(row, index.column());
  if (role == kSortRole) return sortValue(row, index.column());
  if (role == kNumberRole && index.column() >= runs)
    return index.column() == share ? row.share : sortValue(row, index.column());
  if (role == Qt::ToolTipRole && index.column() == name) return text(row, name);
  if (role == Qt::DecorationRole && index.column() == name) return spanColour(row.kind);
  if (role == Qt::TextAlignmentRole && index.column() >= runs)
    return QVariant(Qt::AlignRight | Qt::AlignVCenter);
  if (role == Qt::FontRole && isSelected(row)) {
    QFont bold;
    bold.setBold(true);
    return bold;
  }
  return {};
}

QVariant RangeTable::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole && section >= runs)
    return QVariant(Qt::AlignRight | Qt::AlignVCenter);
  if (role == kNumberRole) return section == time ? QStringLiteral("s") : QVariant();
  const QString names[] = {tr("Operator"), tr("Phase"), tr("Runs"), tr("Time"), tr("Share")};
  const QString tips[] = {tr("Operator, collective or transfer"), tr("Part of the step"),
                          tr("Runs on one rank of each stage"),
                          tr("Time in the range, on the average of the ranks that run it"),
                          tr("Of the range")};
  if (role == Qt::DisplayRole) return names[section];
  return role == Qt::ToolTipRole ? tips[section] : QVariant();
}

}  // namespace meshplan::gui
