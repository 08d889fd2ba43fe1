// SPDX-License-Identifier: Apache-2.0
#include "gui/models/comparison_table.h"

#include <QColor>
#include <QFont>
#include <array>

#include "app/planning.h"
#include "core/timeline_diff.h"
#include "gui/palette.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

constexpr double kWorthTelling = 0.02;

/// With places to break the line.
QString strategyText(const std::string& strategy) {
  return text(strategy).replace(',', QStringLiteral(", "));
}

/// Of a run, as shortStrategy tells it of plans: without what goes without saying.
QString runStrategyText(const std::string& strategy) {
  QStringList out;
  const QStringList all = text(strategy).split(',');
  for (const QString& part : all) {
    const bool one = part == "ep=1" || part == "vpp=1" || part == "zero=0";
    const bool alone = part.startsWith("schedule=") && all.contains("pp=1");
    if (!one && !alone && part != "recompute=none") out << part;
  }
  return out.join(QStringLiteral(", "));
}

QString clusterText(const ShownPlan& plan) {
  const Scenario& s = plan.document->scenario();
  QString name = text(plan.document->cluster().name);
  if (!s.device.empty()) name += QStringLiteral(", %1").arg(text(s.device));
  if (s.network != 1) name += QStringLiteral(", network × %1").arg(s.network, 0, 'g', 3);
  if (s.fabric != 1) name += QStringLiteral(", node × %1").arg(s.fabric, 0, 'g', 3);
  return name;
}

}  // namespace

/// What is told of a step. Rates and prices: 0 where they are not known.
struct ComparisonTable::Figures {
  QString strategy, cluster, fits;
  Seconds step;
  TimeByCategory time;
  double samplesPerSecond = 0, mfu = 0, dollars = 0;
  Bytes peak;
  std::array<Bytes, kMemoryCategories> memory{};
};

ComparisonTable::Figures ComparisonTable::figuresOf(const ComparedStep& step) {
  Figures f;
  f.step = step.timeline->stepTime;
  const size_t slowest = step.slowestStage();
  if (step.plan) {
    const PlanReport& r = step.plan->report;
    f = {strategyText(step.plan->strategy()),
         clusterText(*step.plan),
         r.feasible ? tr("yes") : text(r.rejection.text),
         r.stepTime,
         r.timeByCategory,
         r.samplesPerSecond,
         r.mfu,
         r.dollarsPerStep,
         r.peakMemory,
         r.memoryByCategory};
    return f;
  }
  f.time = timeByCategory(*step.program, *step.timeline, slowest);
  if (!step.timeline->rankClasses.empty()) {
    const RankClassSummary& fullest = step.timeline->rankClasses[step.timeline->peakRankClass()];
    f.peak = fullest.peak;
    f.memory = fullest.peakByCategory;
  }
  if (!step.run) return f;
  f.strategy = runStrategyText(step.run->run.strategy);
  f.cluster = text(step.run->planning->cluster().name);
  const PlanFile file = planFromJson(step.run->run.planJson, "the run");
  f.samplesPerSecond = double(file.plan.globalBatch) / f.step.value;
  return f;
}

void ComparisonTable::addTimes(const Figures& a, const Figures& b) {
  const auto add = [&](const QString& name, Seconds x, Seconds y) {
    if (x.value == 0 && y.value == 0) return;
    rows_.push_back({name, text(x), text(y), changeText(y.value, x.value),
                     x.value > 0 ? y.value / x.value - 1 : 1});
  };
  const TimeByCategory &x = a.time, &y = b.time;
  add(tr("step"), a.step, b.step);
  add(tr("  compute"), x.compute, y.compute);
  add(tr("    of it recomputed"), x.recompute, y.recompute);
  add(tr("  optimizer"), x.optimizer, y.optimizer);
  add(tr("  exposed communication"), x.exposedCommunication, y.exposedCommunication);
  add(tr("  bubble"), x.bubble, y.bubble);
  add(tr("all communication"), x.communication, y.communication);
}

void ComparisonTable::addRates(const Figures& a, const Figures& b) {
  const auto add = [&](const QString& name, double x, double y, const auto& words, bool more) {
    if (x <= 0 && y <= 0) return;
    const auto told = [&](double v) { return v > 0 ? words(v) : QStringLiteral("–"); };
    const bool both = x > 0 && y > 0;
    rows_.push_back({name, told(x), told(y), both ? changeText(y, x) : QString(),
                     !both  ? 0
                     : more ? x / y - 1
                            : y / x - 1});
  };
  const auto grouped = [](double v) { return text(groupedText(v)); };
  add(tr("samples/s"), a.samplesPerSecond, b.samplesPerSecond, grouped, true);
  add(tr("MFU"), a.mfu, b.mfu, percent, true);
  add(tr("price of a step"), a.dollars, b.dollars, dollarsText, false);
}

void ComparisonTable::addMemory(const Figures& a, const Figures& b) {
  const auto add = [&](const QString& name, Bytes x, Bytes y) {
    if (x.value == 0 && y.value == 0) return;
    const auto one = static_cast<double>(x.value), two = static_cast<double>(y.value);
    rows_.push_back({name, text(x), text(y), changeText(two, one), one > 0 ? two / one - 1 : 1});
  };
  add(tr("memory of the fullest rank"), a.peak, b.peak);
  for (int i = 0; i < kMemoryCategories; ++i)
    add("  " + term(memoryCategoryName(MemoryCategory(i))), a.memory[size_t(i)],
        b.memory[size_t(i)]);
}

void ComparisonTable::show(const ComparedStep& first, const ComparedStep& second) {
  beginResetModel();
  rows_.clear();
  if (first && second) {
    const Figures a = figuresOf(first), b = figuresOf(second);
    const auto heading = [&](const QString& name, const QString& x, const QString& y) {
      if (!x.isEmpty() || !y.isEmpty()) rows_.push_back({name, x, y, {}, 0, true});
    };
    heading(tr("strategy"), a.strategy, b.strategy);
    heading(tr("cluster"), a.cluster, b.cluster);
    heading(tr("fits"), a.fits, b.fits);
    addTimes(a, b);
    addRates(a, b);
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
    return row.difference > 0 ? worseColour() : betterColour();
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
