// SPDX-License-Identifier: Apache-2.0
#include "gui/models/operator_difference.h"

#include <QCoreApplication>
#include <QFont>
#include <algorithm>
#include <cmath>

#include "gui/export_table.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

QVariant sortValue(const DifferenceRow& row, int column) {
  switch (column) {
    case OperatorDifference::name:
      return text(row.name);
    case OperatorDifference::phase:
      return text(row.phase);
    case OperatorDifference::first:
      return row.first.time.value;
    case OperatorDifference::second:
      return row.second.time.value;
    case OperatorDifference::difference:
      return row.difference().value;
    default:
      return row.share;
  }
}

bool isCommunication(SpanKind kind) {
  return kind == SpanKind::collective || kind == SpanKind::transfer;
}

QString partTip(const QString& side, const DifferencePart& part, const DifferenceRow& row,
                int64_t allRanks) {
  const auto tr = [](const char* text) { return OperatorDifference::tr(text); };
  if (!part.present) return tr("<br>%1: not there").arg(side);
  QString tip = tr("<br>%1: %2 of the step").arg(side, text(part.time));
  if (isCommunication(row.kind))
    tip += tr(" exposed, %1 beside computation").arg(text(part.hidden));
  if (part.ranks > 0 && part.ranks < allRanks)
    tip += tr("; %1 on the %2 of %3 ranks that run it")
               .arg(text(part.onRunners))
               .arg(part.ranks)
               .arg(allRanks);
  if (part.runs > 0) tip += tr("; %1 runs").arg(text(groupedText(double(part.runs))));
  if (part.evidence.known()) tip += tr("; predicted: %1").arg(part.evidence.text());
  return tip;
}

struct NamedPart {
  const char* name;
  Seconds StepParts::*part;
};
constexpr NamedPart kParts[] = {
    {QT_TRANSLATE_NOOP("StepDifference", "compute"), &StepParts::compute},
    {QT_TRANSLATE_NOOP("StepDifference", "optimizer"), &StepParts::optimizer},
    {QT_TRANSLATE_NOOP("StepDifference", "exposed communication"), &StepParts::exposed},
    {QT_TRANSLATE_NOOP("StepDifference", "idle"), &StepParts::idle},
    {QT_TRANSLATE_NOOP("StepDifference", "beyond its end"), &StepParts::beyond},
};

QString tr(const char* text) {
  return QCoreApplication::translate("StepDifference", text);
}

QString coloured(Seconds difference) {
  const QString words = signedText(difference);
  if (difference.value == 0) return words;
  const QColor colour = difference.value > 0 ? worseColour() : betterColour();
  return QStringLiteral("<span style='color:%1'>%2</span>").arg(colour.name(), words);
}

}  // namespace

void OperatorDifference::setDifference(StepDifference difference) {
  beginResetModel();
  difference_ = std::move(difference);
  largest_ = 0;
  for (const DifferenceRow& row : difference_.rows)
    largest_ = std::max(largest_, std::abs(row.difference().value));
  endResetModel();
}

void OperatorDifference::setSelected(std::vector<OpId> operators) {
  selected_ = std::move(operators);
  if (rowCount() > 0)
    Q_EMIT dataChanged(index(0, 0), index(rowCount() - 1, columns - 1), {Qt::FontRole});
}

bool OperatorDifference::isSelected(int at) const {
  const DifferenceRow& row = difference_.rows[size_t(at)];
  return std::any_of(selected_.begin(), selected_.end(), [&](OpId op) {
    return std::binary_search(row.operators.begin(), row.operators.end(), op);
  });
}

int OperatorDifference::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : int(difference_.rows.size());
}
int OperatorDifference::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : columns;
}

QString OperatorDifference::cell(const DifferenceRow& row, int column) const {
  const auto time = [](const DifferencePart& p) {
    return p.present ? text(p.time) : QStringLiteral("–");
  };
  switch (column) {
    case name:
      return text(row.name);
    case phase:
      return term(row.phase);
    case first:
      return time(row.first);
    case second:
      return time(row.second);
    case difference:
      return signedText(row.difference());
    default:
      return percent(row.share);
  }
}

QString OperatorDifference::toolTip(const DifferenceRow& row) const {
  QString tip = "<b>" + text(row.name).toHtmlEscaped() + "</b> " + text(row.phase);
  tip += partTip(tr("first"), row.first, row, difference_.firstRanks);
  tip += partTip(tr("second"), row.second, row, difference_.secondRanks);
  return tip + tr("<br>difference %1, %2 of all differences")
                   .arg(signedText(row.difference()), percent(row.share));
}

QVariant OperatorDifference::data(const QModelIndex& index, int role) const {
  if (!index.isValid() || index.row() >= rowCount()) return {};
  const DifferenceRow& row = difference_.rows[size_t(index.row())];
  const int column = index.column();
  if (role == Qt::DisplayRole) return cell(row, column);
  if (role == kSortRole) return sortValue(row, column);
  if (role == kNumberRole && column >= first) {
    const bool absent =
        (column == first && !row.first.present) || (column == second && !row.second.present);
    return absent ? QVariant() : sortValue(row, column);
  }
  if (role == kFilterRole) return text(row.name + ' ' + row.phase);
  if (role == kBarRole) return largest_ > 0 ? row.difference().value / largest_ : 0.0;
  if (role == Qt::ToolTipRole) return toolTip(row);
  if (role == Qt::DecorationRole && column == name) return spanColour(row.kind);
  if (role == Qt::TextAlignmentRole && column >= first)
    return QVariant(Qt::AlignRight | Qt::AlignVCenter);
  if (role == Qt::FontRole && isSelected(index.row())) {
    QFont bold;
    bold.setBold(true);
    return bold;
  }
  return {};
}

QVariant OperatorDifference::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole && section >= first)
    return QVariant(Qt::AlignRight | Qt::AlignVCenter);
  if (role == kNumberRole)
    return section >= first && section <= difference ? QStringLiteral("s") : QVariant();
  const QString names[] = {tr("Operator"), tr("Phase"),      tr("First"),
                           tr("Second"),   tr("Difference"), tr("Share")};
  const QString average =
      tr("seconds of the step on the average rank, so that all rows add up to the step; of "
         "communication what is not hidden beside computation");
  const QString tips[] = {tr("Operator, collective or transfer"),
                          tr("Part of the step"),
                          tr("First step: %1").arg(average),
                          tr("Second step: %1").arg(average),
                          tr("Second less first"),
                          tr("Of all differences, without their signs")};
  if (role == Qt::DisplayRole) return names[section];
  return role == Qt::ToolTipRole ? tips[section] : QVariant();
}

QString headline(const StepDifference& d) {
  const Seconds difference = d.second.step - d.first.step;
  if (d.first.step.value <= 0) return {};
  std::vector<std::pair<QString, Seconds>> parts;
  for (const NamedPart& p : kParts)
    if (const Seconds t = d.second.*p.part - d.first.*p.part;
        std::abs(t.value) > 5e-4 * d.first.step.value)
      parts.emplace_back(tr(p.name), t);
  std::stable_sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) {
    return std::abs(a.second.value) > std::abs(b.second.value);
  });
  QStringList words;
  for (const auto& [name, time] : parts) words << name + ' ' + coloured(time);
  const QString size = changeText(d.second.step.value, d.first.step.value);
  QString out = difference.value == 0 ? tr("<b>Both steps take %1.</b>").arg(text(d.first.step))
                                      : tr("<b>The second step takes %1 instead of %2</b> (%3)")
                                            .arg(text(d.second.step), text(d.first.step), size);
  return words.isEmpty() ? out
                         : QStringLiteral("%1: %2").arg(out, words.join(QStringLiteral(", ")));
}

QString totalsText(const StepDifference& d) {
  QString head = "<th></th>", first = QStringLiteral("<td>%1</td>").arg(tr("first")),
          second = QStringLiteral("<td>%1</td>").arg(tr("second")),
          change = QStringLiteral("<td>%1</td>").arg(tr("difference"));
  const auto add = [&](const QString& name, Seconds a, Seconds b) {
    const QString column = QStringLiteral("<td align='right'>&nbsp;&nbsp;%1</td>");
    head +=
        QStringLiteral("<td align='right' valign='bottom'>&nbsp;&nbsp;%1</td>")
            .arg(name.size() < 10 ? name
                                  : QString(name).replace(' ', QStringLiteral("<br>&nbsp;&nbsp;")));
    first += column.arg(text(a));
    second += column.arg(text(b));
    change += column.arg(coloured(b - a));
  };
  for (const NamedPart& p : kParts)
    if ((d.first.*p.part).value != 0 || (d.second.*p.part).value != 0)
      add(tr(p.name), d.first.*p.part, d.second.*p.part);
  add(tr("= step"), d.first.step, d.second.step);
  add(tr("hidden communication"), d.first.hidden, d.second.hidden);
  return QStringLiteral("<table><tr>%1</tr><tr>%2</tr><tr>%3</tr><tr>%4</tr></table>")
      .arg(head, first, second, change);
}

}  // namespace meshplan::gui
