// SPDX-License-Identifier: Apache-2.0
#include "gui/models/comparison_table.h"

#include <QColor>
#include <QFont>
#include <array>

#include "app/planning.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

constexpr double kWorthTelling = 0.02;
constexpr QRgb kWorse = 0xffd55e00, kBetter = 0xff009e73;

QString clusterText(const ShownPlan& plan) {
  const Scenario& s = plan.document->scenario();
  QString name = text(plan.document->cluster().name);
  if (!s.device.empty()) name += QStringLiteral(", %1").arg(text(s.device));
  if (s.network != 1) name += QStringLiteral(", network × %1").arg(s.network, 0, 'g', 3);
  if (s.fabric != 1) name += QStringLiteral(", node × %1").arg(s.fabric, 0, 'g', 3);
  return name;
}

}  // namespace

void ComparisonTable::addTimes(const PlanReport& a, const PlanReport& b) {
  const auto add = [&](const QString& name, Seconds x, Seconds y) {
    if (x.value == 0 && y.value == 0) return;
    rows_.push_back({name, text(x), text(y), changeText(y.value, x.value),
                     x.value > 0 ? y.value / x.value - 1 : 1});
  };
  const TimeByCategory &x = a.timeByCategory, &y = b.timeByCategory;
  add(tr("step"), a.stepTime, b.stepTime);
  add(tr("  compute"), x.compute, y.compute);
  add(tr("    of it recomputed"), x.recompute, y.recompute);
  add(tr("  optimizer"), x.optimizer, y.optimizer);
  add(tr("  exposed communication"), x.exposedCommunication, y.exposedCommunication);
  add(tr("  bubble"), x.bubble, y.bubble);
  add(tr("all communication"), x.communication, y.communication);
  rows_.push_back({tr("samples/s"), text(groupedText(a.samplesPerSecond)),
                   text(groupedText(b.samplesPerSecond)),
                   changeText(b.samplesPerSecond, a.samplesPerSecond),
                   a.samplesPerSecond / b.samplesPerSecond - 1});
  rows_.push_back({tr("MFU"), percent(a.mfu), percent(b.mfu), changeText(b.mfu, a.mfu),
                   b.mfu > 0 ? a.mfu / b.mfu - 1 : 0});
  if (a.dollarsPerStep > 0 || b.dollarsPerStep > 0)
    rows_.push_back({tr("price of a step"), dollarsText(a.dollarsPerStep),
                     dollarsText(b.dollarsPerStep), changeText(b.dollarsPerStep, a.dollarsPerStep),
                     a.dollarsPerStep > 0 ? b.dollarsPerStep / a.dollarsPerStep - 1 : 0});
}

void ComparisonTable::addMemory(const PlanReport& a, const PlanReport& b) {
  const auto add = [&](const QString& name, Bytes x, Bytes y) {
    if (x.value == 0 && y.value == 0) return;
    const auto one = static_cast<double>(x.value), two = static_cast<double>(y.value);
    rows_.push_back({name, text(x), text(y), changeText(two, one), one > 0 ? two / one - 1 : 1});
  };
  add(tr("memory of the fullest rank"), a.peakMemory, b.peakMemory);
  for (int i = 0; i < kMemoryCategories; ++i)
    add("  " + text(memoryCategoryName(MemoryCategory(i))), a.memoryByCategory[size_t(i)],
        b.memoryByCategory[size_t(i)]);
}

void ComparisonTable::show(const ShownPlan* first, const ShownPlan* second) {
  beginResetModel();
  rows_.clear();
  if (first && second) {
    const PlanReport &a = first->report, &b = second->report;
    rows_.push_back(
        {tr("strategy"), text(first->strategy()), text(second->strategy()), {}, 0, true});
    rows_.push_back({tr("cluster"), clusterText(*first), clusterText(*second), {}, 0, true});
    rows_.push_back({tr("fits"),
                     a.feasible ? tr("yes") : text(a.rejection.text),
                     b.feasible ? tr("yes") : text(b.rejection.text),
                     {},
                     0,
                     true});
    addTimes(a, b);
    addMemory(a, b);
  }
  endResetModel();
}

int ComparisonTable::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(rows_.size());
}
int ComparisonTable::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : 4;
}

QVariant ComparisonTable::data(const QModelIndex& index, int role) const {
  if (!index.isValid() || index.row() >= rowCount()) return {};
  const Row& row = rows_[static_cast<size_t>(index.row())];
  const std::array<const QString*, 4> cells = {&row.name, &row.first, &row.second, &row.change};
  if (role == Qt::DisplayRole || role == Qt::ToolTipRole)
    return *cells[static_cast<size_t>(index.column())];
  if (role == Qt::TextAlignmentRole && index.column() > 0 && !row.heading)
    return QVariant::fromValue(Qt::Alignment(Qt::AlignRight | Qt::AlignVCenter));
  if (role == Qt::ForegroundRole && index.column() == 3 && std::abs(row.difference) > kWorthTelling)
    return QColor(row.difference > 0 ? kWorse : kBetter);
  if (role == Qt::FontRole && !row.name.startsWith(' ') && index.column() == 0) {
    QFont bold;
    bold.setBold(true);
    return bold;
  }
  return {};
}

QVariant ComparisonTable::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal || role != Qt::DisplayRole) return {};
  const std::array<QString, 4> names = {QString(), tr("first"), tr("second"), tr("change")};
  return names[static_cast<size_t>(section)];
}

}  // namespace meshplan::gui
