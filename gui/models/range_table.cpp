// SPDX-License-Identifier: Apache-2.0
#include "gui/models/range_table.h"

#include <QFont>
#include <algorithm>
#include <cmath>

#include "gui/export_table.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

constexpr double kWorthTelling = 0.1;  // of an error

double errorOf(const RangeRow& row) {
  return row.predicted && row.time.value > 0 ? row.predicted->value / row.time.value - 1 : 0;
}

QString cell(const RangeRow& row, int column) {
  switch (column) {
    case RangeTable::name:
      return text(row.name);
    case RangeTable::phase:
      return term(row.phase);
    case RangeTable::runs:
      return text(groupedText(double(row.runs)));
    case RangeTable::predicted:
      return row.predicted ? text(*row.predicted) : QStringLiteral("–");
    case RangeTable::time:
      return text(row.time);
    case RangeTable::error:
      return row.predicted ? changeText(row.predicted->value, row.time.value) : QStringLiteral("–");
    default:
      return percent(row.share);
  }
}

QVariant sortValue(const RangeRow& row, int column) {
  switch (column) {
    case RangeTable::runs:
      return qlonglong(row.runs);
    case RangeTable::predicted:
      return row.predicted.value_or(Seconds(-1)).value;
    case RangeTable::error:
      return errorOf(row);
    case RangeTable::time:
    case RangeTable::share:
      return row.time.value;
    default:
      return cell(row, column);
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
    Q_EMIT dataChanged(index(0, 0), index(int(rows_.size()) - 1, columnCount() - 1),
                       {Qt::FontRole});
}

bool RangeTable::isSelected(const RangeRow& row) const {
  return std::any_of(selected_.begin(), selected_.end(), [&](OpId op) {
    return std::binary_search(row.operators.begin(), row.operators.end(), op);
  });
}

bool RangeTable::measured() const {
  return std::any_of(rows_.begin(), rows_.end(),
                     [](const RangeRow& row) { return row.predicted.has_value(); });
}

QString RangeTable::toolTip(const RangeRow& row) const {
  QString tip = "<b>" + text(row.name).toHtmlEscaped() + "</b> " + text(row.phase);
  tip += tr("<br>%1 (%2) on the average of the ranks that run it, %3 runs")
             .arg(text(row.time), percent(row.share), text(groupedText(double(row.runs))));
  if (row.predicted) tip += tr("<br>predicted %1 (%2)").arg(text(*row.predicted), cell(row, error));
  if (row.evidence.known()) tip += tr("<br>prediction: %1").arg(row.evidence.text());
  return tip;
}

int RangeTable::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : int(rows_.size());
}
int RangeTable::columnCount(const QModelIndex& parent) const {
  if (parent.isValid()) return 0;
  return measured() ? error + 1 : share + 1;
}

QVariant RangeTable::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  const RangeRow& row = rows_[size_t(index.row())];
  if (role == Qt::DisplayRole) return cell(row, index.column());
  if (role == kSortRole) return sortValue(row, index.column());
  if (role == kNumberRole && index.column() >= runs)
    return index.column() == share ? row.share : sortValue(row, index.column());
  if (role == Qt::ToolTipRole) return toolTip(row);
  if (role == Qt::ForegroundRole && index.column() == error &&
      std::abs(errorOf(row)) > kWorthTelling)
    return errorOf(row) < 0 ? worseColour() : betterColour();
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
  if (role == kNumberRole)
    return section == time || section == predicted ? QStringLiteral("s") : QVariant();
  const QString names[] = {
      tr("Operator"), tr("Phase"),     tr("Runs"), measured() ? tr("Measured") : tr("Time"),
      tr("Share"),    tr("Predicted"), tr("Error")};
  const QString tips[] = {tr("Operator, collective or transfer"),
                          tr("Part of the step"),
                          tr("Runs on one rank of each stage"),
                          tr("Time in the range, on the average of the ranks that run it"),
                          tr("Of the range"),
                          tr("What the same runs were predicted to take"),
                          tr("Prediction over measurement: below 0 it was too short")};
  if (role == Qt::DisplayRole) return names[section];
  return role == Qt::ToolTipRole ? tips[section] : QVariant();
}

}  // namespace meshplan::gui
