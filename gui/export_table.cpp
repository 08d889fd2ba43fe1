// SPDX-License-Identifier: Apache-2.0
#include "gui/export_table.h"

#include <QLocale>
#include <QRegularExpression>
#include <QSaveFile>
#include <QStringList>
#include <functional>

#include "core/error.h"

namespace meshplan::gui {
namespace {

using OnRow = std::function<void(const QModelIndex& first, int level)>;

void eachRow(const QAbstractItemModel& model, const QModelIndex& parent, int level,
             const OnRow& onRow) {
  for (int r = 0; r < model.rowCount(parent); ++r) {
    const QModelIndex first = model.index(r, 0, parent);
    onRow(first, level);
    if (model.hasChildren(first)) eachRow(model, first, level + 1, onRow);
  }
}

bool isTree(const QAbstractItemModel& model) {
  bool deep = false;
  eachRow(model, {}, 0, [&](const QModelIndex&, int level) { deep = deep || level > 0; });
  return deep;
}

bool isRight(const QVariant& alignment) {
  const bool flags = alignment.canConvert<Qt::Alignment>();
  return (flags ? alignment.value<Qt::Alignment>() : Qt::Alignment(alignment.toInt())) &
         Qt::AlignRight;
}

QString csvCell(QString cell) {
  static const QRegularExpression special("[\",\r\n]");
  return cell.contains(special) ? '"' + cell.replace('"', "\"\"") + '"' : cell;
}

QString numberText(const QVariant& number) {
  if (number.typeId() != QMetaType::Double) return number.toString();
  return QString::number(number.toDouble(), 'g', QLocale::FloatingPointShortest);
}

QString csvText(const QModelIndex& cell) {
  const QVariant number = cell.data(kNumberRole);
  return csvCell(number.isValid() ? numberText(number) : cell.data().toString());
}

QString csv(const QAbstractItemModel& model) {
  const bool tree = isTree(model);
  QStringList head;
  if (tree) head << "level";
  for (int c = 0; c < model.columnCount(); ++c) {
    const QString unit = model.headerData(c, Qt::Horizontal, kNumberRole).toString();
    const QString name = model.headerData(c, Qt::Horizontal).toString();
    head << csvCell(unit.isEmpty() ? name : name + " (" + unit + ")");
  }
  QString out = head.join(',') + "\r\n";
  eachRow(model, {}, 0, [&](const QModelIndex& first, int level) {
    QStringList cells;
    if (tree) cells << QString::number(level);
    for (int c = 0; c < model.columnCount(); ++c) cells << csvText(first.siblingAtColumn(c));
    out += cells.join(',') + "\r\n";
  });
  return out;
}

QString markdownCell(QString cell) {
  return cell.replace('\\', "\\\\").replace('|', "\\|").replace('\n', "<br>");
}

QString markdownRow(const QStringList& cells) {
  return "| " + cells.join(" | ") + " |\n";
}

QString markdown(const QAbstractItemModel& model) {
  QStringList head, rule;
  const QModelIndex first = model.index(0, 0);
  for (int c = 0; c < model.columnCount(); ++c) {
    head << markdownCell(model.headerData(c, Qt::Horizontal).toString());
    rule << (isRight(first.siblingAtColumn(c).data(Qt::TextAlignmentRole)) ? "--:" : "---");
  }
  QString out = markdownRow(head) + markdownRow(rule);
  eachRow(model, {}, 0, [&](const QModelIndex& row, int level) {
    QStringList cells;
    for (int c = 0; c < model.columnCount(); ++c)
      cells << markdownCell(row.siblingAtColumn(c).data().toString());
    if (!cells.isEmpty()) cells.front().prepend(QString("&nbsp;&nbsp;").repeated(level));
    out += markdownRow(cells);
  });
  return out;
}

}  // namespace

QString tableText(const QAbstractItemModel& model, TableFormat format) {
  return format == TableFormat::csv ? csv(model) : markdown(model);
}

void exportTable(const QAbstractItemModel& model, const QString& path) {
  const bool isCsv = path.endsWith(".csv", Qt::CaseInsensitive);
  if (!isCsv && !path.endsWith(".md", Qt::CaseInsensitive))
    throw Error(ErrorKind::usage, "'" + path.toStdString() + "' is no name for a table",
                "end it in .csv or .md");
  const QByteArray text =
      tableText(model, isCsv ? TableFormat::csv : TableFormat::markdown).toUtf8();
  QSaveFile file(path);
  if (!file.open(QIODevice::WriteOnly) || file.write(text) < 0 || !file.commit())
    throw Error(ErrorKind::runtime, "cannot be written: " + file.errorString().toStdString(),
                "check the folder and the free space")
        .inFile(path.toStdString());
}

}  // namespace meshplan::gui
