// SPDX-License-Identifier: Apache-2.0
#include "gui/models/run_table.h"

#include <QDateTime>
#include <QLocale>

#include "gui/export_table.h"
#include "gui/text.h"

namespace meshplan::gui {

void RunTable::setRuns(std::vector<RunMeasurement> runs) {
  beginResetModel();
  runs_ = std::move(runs);
  endResetModel();
}

int RunTable::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(runs_.size());
}

int RunTable::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : kColumns;
}

QVariant RunTable::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation == Qt::Horizontal && role == kNumberRole)
    return section == predicted || section == measured ? QStringLiteral("s") : QVariant();
  if (orientation != Qt::Horizontal || role != Qt::DisplayRole) return {};
  const QString names[] = {tr("run"),  tr("model"),     tr("strategy"), tr("ranks"),
                           tr("when"), tr("predicted"), tr("measured"), tr("error")};
  return section >= 0 && section < kColumns ? names[section] : QVariant();
}

QVariant RunTable::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  const RunMeasurement& r = run(index.row());
  const int column = index.column();
  if (role == Qt::DisplayRole) return textOf(r, column);
  if (role == kSortRole) return valueOf(r, column);
  if (role == kNumberRole) return numberOf(r, column);
  if (role == Qt::ToolTipRole) return column == strategy ? text(r.strategy) : textOf(r, column);
  const bool number = column == id || column == ranks || column >= predicted;
  if (role == Qt::TextAlignmentRole)
    return int((number ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
  return {};
}

QString RunTable::textOf(const RunMeasurement& r, int column) const {
  const bool known = r.predictedStep.value > 0;
  switch (column) {
    case id:
      return QString::number(r.id);
    case model:
      return text(r.model);
    case strategy:
      return text(r.strategy);
    case ranks:
      return QString::number(r.ranks);
    case when:
      return QLocale().toString(QDateTime::fromSecsSinceEpoch(r.source.time), QLocale::ShortFormat);
    case predicted:
      return known ? text(r.predictedStep) : QStringLiteral("–");
    case measured:
      return text(r.step.median);
    default:
      return known ? changeText(r.predictedStep.value, r.step.median.value) : QStringLiteral("–");
  }
}

/// For spreadsheets; what was not predicted is no number.
QVariant RunTable::numberOf(const RunMeasurement& r, int column) const {
  const bool ofPrediction = column == predicted || column == error;
  if (ofPrediction && r.predictedStep.value <= 0) return QStringLiteral("");
  return column == id || column == ranks || column >= predicted ? valueOf(r, column) : QVariant();
}

QVariant RunTable::valueOf(const RunMeasurement& r, int column) const {
  switch (column) {
    case id:
      return qint64(r.id);
    case ranks:
      return qint64(r.ranks);
    case when:
      return qint64(r.source.time);
    case predicted:
      return r.predictedStep.value;
    case measured:
      return r.step.median.value;
    case error:
      return r.predictedStep.value > 0 ? r.predictedStep / r.step.median - 1 : 0.0;
    default:
      return textOf(r, column);
  }
}

}  // namespace meshplan::gui
