// SPDX-License-Identifier: Apache-2.0
#include "gui/models/plan_table.h"

#include <QRegularExpression>
#include <algorithm>
#include <array>
#include <optional>

#include "gui/export_table.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

/// What a word of the filter can compare.
std::optional<double> quantity(const PlanReport& r, const QString& name) {
  const MeshShape& mesh = r.plan.mesh;
  if (name == "dp") return static_cast<double>(mesh.replicas());
  if (name == "tp") return static_cast<double>(mesh.tensor);
  if (name == "pp") return static_cast<double>(mesh.pipeline);
  if (name == "ep") return static_cast<double>(mesh.expert);
  if (name == "mbs") return static_cast<double>(r.plan.microBatch);
  if (name == "zero") return r.plan.zeroStage;
  if (name == "mem") return static_cast<double>(r.peakMemory.value) / kGiB;
  if (name == "step") return 1e3 * r.stepTime.value;
  if (name == "mfu") return 100 * r.mfu;
  return std::nullopt;
}

bool compares(double value, const QString& sign, double limit) {
  if (sign == "<") return value < limit;
  if (sign == "<=") return value <= limit;
  if (sign == ">") return value > limit;
  if (sign == ">=") return value >= limit;
  return value == limit;
}

bool accepts(const PlanReport& r, const QString& word) {
  static const QRegularExpression comparison("^([a-z]+)(<=|>=|<|>|=)([0-9.]+)$");
  const QRegularExpressionMatch match = comparison.match(word);
  if (match.hasMatch())
    if (const auto value = quantity(r, match.captured(1)))
      return compares(*value, match.captured(2), match.captured(3).toDouble());
  return text(r.label).contains(word, Qt::CaseInsensitive) ||
         text(r.strategy).contains(word, Qt::CaseInsensitive);
}

bool isNumber(int column) {
  return column != PlanTable::label && column != PlanTable::recompute &&
         column != PlanTable::origin;
}

}  // namespace

void PlanTable::show(const SearchResult& found, bool tokens) {
  beginResetModel();
  tokens_ = tokens;
  reports_ = found.plans;
  for (const std::vector<PlanReport>* more : {&found.pareto, &found.baselines})
    for (const PlanReport& r : *more)
      if (rowOf(r.strategy) < 0)
        reports_.push_back(r);
      else if (more == &found.baselines)
        reports_[static_cast<size_t>(rowOf(r.strategy))].label = r.label;
  if (found.nearestMiss && rowOf(found.nearestMiss->strategy) < 0)
    reports_.push_back(*found.nearestMiss);
  endResetModel();
}

int PlanTable::rowOf(const std::string& strategy) const {
  const auto found = std::find_if(reports_.begin(), reports_.end(),
                                  [&](const PlanReport& r) { return r.strategy == strategy; });
  return found == reports_.end() ? -1 : static_cast<int>(found - reports_.begin());
}

int PlanTable::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(reports_.size());
}

int PlanTable::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : kColumns;
}

/// Degrees of 1, no sharding and no recomputation are not worth ink.
QVariant PlanTable::display(const PlanReport& r, int column) const {
  const Plan& p = r.plan;
  const auto degree = [](int64_t n) { return n > 1 ? QString::number(n) : QString(); };
  switch (column) {
    case label:
      return text(r.label);
    case replicas:
      return QString::number(p.mesh.replicas());
    case tensor:
      return QString::number(p.mesh.tensor) +
             (p.mesh.tensor > 1 && r.sequenceParallel ? tr(" sp") : QString());
    case pipeline:
      return QString::number(p.mesh.pipeline);
    case expert:
      return degree(p.mesh.expert);
    case microBatch:
      return QString::number(p.microBatch);
    case virtualStages:
      return degree(p.virtualStages);
    case zero:
      return p.zeroStage > 0 ? QString::number(p.zeroStage) : QString();
    case recompute:
      return p.recompute == Recompute::none ? QString() : term(recomputeName(p.recompute));
    default:
      return figure(r, column);
  }
}

QString PlanTable::figure(const PlanReport& r, int column) const {
  switch (column) {
    case step:
      return text(r.stepTime);
    case throughput:
      return text(groupedText(tokens_ ? r.tokensPerSecond : r.samplesPerSecond));
    case mfu:
      return percent(r.mfu);
    case memory:
      return text(r.peakMemory);
    case bubble:
      return percent(r.timeByCategory.bubble / r.stepTime);
    case exposed:
      return percent(r.timeByCategory.exposedCommunication / r.stepTime);
    case price:
      return dollarsText(r.dollarsPerStep);
    default:
      return r.feasible ? term(provenanceName(r.provenance)) : tr("does not fit");
  }
}

QVariant PlanTable::number(const PlanReport& r, int column) const {
  const Plan& p = r.plan;
  switch (column) {
    case label:
      return text(r.label);
    case replicas:
      return qlonglong(p.mesh.replicas());
    case tensor:
      return qlonglong(p.mesh.tensor);
    case pipeline:
      return qlonglong(p.mesh.pipeline);
    case expert:
      return qlonglong(p.mesh.expert);
    case microBatch:
      return qlonglong(p.microBatch);
    case virtualStages:
      return qlonglong(p.virtualStages);
    case zero:
      return p.zeroStage;
    case recompute:
      return static_cast<int>(p.recompute);
    case step:
      return r.stepTime.value;
    case throughput:
      return tokens_ ? r.tokensPerSecond : r.samplesPerSecond;
    case mfu:
      return r.mfu;
    case memory:
      return static_cast<qlonglong>(r.peakMemory.value);
    case bubble:
      return r.timeByCategory.bubble / r.stepTime;
    case exposed:
      return r.timeByCategory.exposedCommunication / r.stepTime;
    case price:
      return r.dollarsPerStep;
    default:
      return static_cast<int>(r.provenance) + (r.feasible ? 0 : 100);
  }
}

QVariant PlanTable::data(const QModelIndex& index, int role) const {
  if (!index.isValid() || index.row() >= rowCount()) return {};
  const PlanReport& r = report(index.row());
  if (role == Qt::DisplayRole) return display(r, index.column());
  if (role == Qt::UserRole) return number(r, index.column());
  if (role == kNumberRole) return isNumber(index.column()) ? number(r, index.column()) : QVariant();
  if (role == Qt::ToolTipRole && !r.feasible) return text(r.rejection.text);
  if (role == Qt::ToolTipRole) return text(r.strategy);
  if (role == Qt::TextAlignmentRole && isNumber(index.column()))
    return QVariant::fromValue(Qt::Alignment(Qt::AlignRight | Qt::AlignVCenter));
  return {};
}

QVariant PlanTable::headerData(int section, Qt::Orientation orientation, int role) const {
  if (role == Qt::TextAlignmentRole && orientation == Qt::Horizontal)
    return QVariant::fromValue(
        Qt::Alignment((isNumber(section) ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter));
  if (role == kNumberRole && orientation == Qt::Horizontal)
    return section == step     ? QStringLiteral("s")
           : section == memory ? QStringLiteral("bytes")
                               : QVariant();
  if (role != Qt::DisplayRole) return {};
  if (orientation == Qt::Vertical) return section + 1;
  const std::array<QString, kColumns> names = {tr("plan"),
                                               tr("step"),
                                               tr("memory"),
                                               tr("MFU"),
                                               tokens_ ? tr("tokens/s") : tr("samples/s"),
                                               tr("dp"),
                                               tr("tp"),
                                               tr("pp"),
                                               tr("ep"),
                                               tr("mbs"),
                                               tr("vpp"),
                                               tr("ZeRO"),
                                               tr("recompute"),
                                               tr("bubble"),
                                               tr("exposed"),
                                               tr("$/step"),
                                               tr("times")};
  return section < kColumns ? QVariant(names[static_cast<size_t>(section)]) : QVariant();
}

PlanFilter::PlanFilter(QObject* parent) : QSortFilterProxyModel(parent) {
  setSortRole(Qt::UserRole);
}

void PlanFilter::setText(const QString& text) {
  words_ = text.simplified().split(' ', Qt::SkipEmptyParts);
  invalidateFilter();
}

bool PlanFilter::filterAcceptsRow(int row, const QModelIndex&) const {
  const auto* table = static_cast<const PlanTable*>(sourceModel());
  return std::all_of(words_.begin(), words_.end(),
                     [&](const QString& word) { return accepts(table->report(row), word); });
}

}  // namespace meshplan::gui
