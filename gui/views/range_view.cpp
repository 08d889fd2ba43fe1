// SPDX-License-Identifier: Apache-2.0
#include "gui/views/range_view.h"

#include <QCheckBox>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QPainter>
#include <QSortFilterProxyModel>
#include <QTableView>
#include <algorithm>
#include <cmath>

#include "gui/models/timeline_scene.h"
#include "gui/text.h"
#include "gui/views/lane_raster.h"

namespace meshplan::gui {
namespace {

constexpr size_t kAtOnce = 200'000;

}  // namespace

ShareBar::ShareBar(QWidget* parent) : QWidget(parent) {
  setObjectName(QStringLiteral("shareBar"));
  setAccessibleName(tr("Shares of the time"));
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

QSize ShareBar::sizeHint() const {
  const double lines = (both_ ? 3.3 : 1.8) + std::ceil(4.0 / columns());
  return {42 * fontMetrics().averageCharWidth(), int((lines + 0.2) * fontMetrics().height())};
}

int ShareBar::columns() const {
  int widest = 1;
  for (const Part& p : parts_)
    widest = std::max(widest, fontMetrics().horizontalAdvance(p.text) + 4 * fontMetrics().height());
  return width() >= 4 * widest ? 4 : width() >= 2 * widest ? 2 : 1;
}

void ShareBar::resizeEvent(QResizeEvent* event) {
  QWidget::resizeEvent(event);
  updateGeometry();
}

void ShareBar::setStatistics(const RangeStatistics& s, const RangeStatistics* predicted) {
  both_ = predicted != nullptr;
  parts_.clear();
  const auto shareOf = [](const RangeStatistics& of, Seconds RangeStatistics::*part) {
    const double length = (of.range.end - of.range.begin).value;
    return length > 0 ? (of.*part).value / length : 0;
  };
  const auto part = [&](const QString& name, Seconds RangeStatistics::*of, SpanKind kind) {
    const double share = shareOf(s, of);
    QString words = tr("%1  %2  %3").arg(name, percent(share), text(s.*of));
    if (predicted) words += tr(" (predicted %1)").arg(text(predicted->*of));
    parts_.push_back({words, share, predicted ? shareOf(*predicted, of) : 0, kind});
  };
  part(tr("compute"), &RangeStatistics::compute, SpanKind::forward);
  part(tr("optimizer"), &RangeStatistics::optimizer, SpanKind::update);
  part(tr("exposed communication"), &RangeStatistics::exposed, SpanKind::collective);
  part(tr("idle"), &RangeStatistics::idle, SpanKind::bubble);
  QStringList all;
  for (const Part& p : parts_) all << p.text;
  setAccessibleDescription(all.join(QStringLiteral(", ")));
  updateGeometry();
  update();
}

void ShareBar::paintBar(QPainter& painter, double y, const QString& name, double Part::*share) {
  const double line = fontMetrics().height();
  const double left =
      name.isEmpty() ? 0 : fontMetrics().horizontalAdvance(tr("measured") + tr("  ")) + 4;
  painter.setPen(palette().color(QPalette::WindowText));
  painter.drawText(QRectF(0, y, left, 1.2 * line), Qt::AlignVCenter, name);
  double x = left;
  for (const Part& p : parts_) {
    const double wide = p.*share * (width() - left);
    paintKind(painter, {x, y, wide, 1.2 * line}, p.kind, palette());
    x += wide;
  }
}

void ShareBar::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  const double line = fontMetrics().height();
  if (both_) paintBar(painter, 2, tr("predicted"), &Part::predictedShare);
  paintBar(painter, both_ ? 2 + 1.5 * line : 2, both_ ? tr("measured") : QString(), &Part::share);
  const double box = std::round(0.7 * line), column = double(width()) / columns();
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Part& p = parts_[i];
    const double x = double(int(i) % columns()) * column;
    const double y = ((both_ ? 3.3 : 1.8) + int(i) / columns()) * line;
    paintKind(painter, {x, y + (line - box) / 2, 1.6 * box, box}, p.kind, palette());
    painter.setPen(palette().color(QPalette::WindowText));
    painter.drawText(QRectF(x + 2.2 * box, y, column - 2.2 * box, line), Qt::AlignVCenter, p.text);
  }
}

RangeView::RangeView(Session& session, Selection& selection, QWidget* parent)
    : QWidget(parent),
      session_(session),
      selection_(selection),
      sorted_(new QSortFilterProxyModel(this)),
      title_(new QLabel(this)),
      empty_(new QLabel(tr("Open a model: here is then what its step spends time on."), this)),
      bar_(new ShareBar(this)),
      fold_(new QCheckBox(tr("Layers together"), this)),
      view_(new QTableView(this)) {
  setObjectName(QStringLiteral("rangeView"));
  setAccessibleName(tr("Statistics of the selection"));
  layOut();
  connect(&session, &Session::shownChanged, this, &RangeView::refresh);
  connect(&session, &Session::traceChanged, this, &RangeView::refresh);
  connect(&selection, &Selection::rangeChanged, this, &RangeView::refresh);
  connect(&selection, &Selection::ranksChanged, this, &RangeView::refresh);
  connect(&selection, &Selection::operatorsChanged, this,
          [this] { table_.setSelected(selection_.operators()); });
  connect(fold_, &QCheckBox::toggled, this, &RangeView::refresh);
  connect(view_, &QTableView::clicked, this, &RangeView::clicked);
  connect(view_, &QTableView::activated, this, &RangeView::clicked);
  refresh();
}

RangeView::~RangeView() {
  jobs_.disconnect(this);
}

void RangeView::layOut() {
  auto* column = new QVBoxLayout(this);
  auto* row = new QHBoxLayout;
  row->addWidget(title_, 1);
  row->addWidget(fold_);
  column->addLayout(row);
  column->addWidget(bar_);
  column->addWidget(view_, 1);
  column->addWidget(empty_, 1);
  title_->setWordWrap(true);
  empty_->setAlignment(Qt::AlignCenter);
  empty_->setWordWrap(true);
  empty_->setForegroundRole(QPalette::PlaceholderText);
  fold_->setChecked(true);
  fold_->setToolTip(tr("Operators whose names differ in layer numbers only are one row"));
  sorted_->setSourceModel(&table_);
  sorted_->setSortRole(RangeTable::kSortRole);
  view_->setModel(sorted_);
  view_->setAccessibleName(tr("Operators by time"));
  view_->setSortingEnabled(true);
  view_->sortByColumn(RangeTable::time, Qt::DescendingOrder);
  view_->setSelectionBehavior(QAbstractItemView::SelectRows);
  view_->setAlternatingRowColors(true);
  view_->setShowGrid(false);
  view_->setWordWrap(false);
  view_->setTextElideMode(Qt::ElideMiddle);
  view_->verticalHeader()->hide();
  view_->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 6);
  view_->horizontalHeader()->setSectionResizeMode(QHeaderView::ResizeToContents);
  view_->horizontalHeader()->setSectionResizeMode(RangeTable::name, QHeaderView::Stretch);
}

void RangeView::showRun(std::shared_ptr<const Comparison> run) {
  run_ = std::move(run);
  refresh();
}

std::vector<size_t> RangeView::rankClasses() const {
  std::vector<size_t> out;
  if (session_.trace()) return out;
  const Program& program = run_ ? run_->program : session_.shown()->simulated.program;
  for (size_t c = 0; c < program.rankClasses.size(); ++c) {
    const std::vector<int64_t> ranks = ranksOf(program, c);
    if (std::any_of(ranks.begin(), ranks.end(),
                    [&](int64_t r) { return selection_.containsRank(r); }))
      out.push_back(c);
  }
  return out;
}

RangeView::Looked RangeView::looked() const {
  if (const auto& trace = session_.trace())
    return {trace, trace->scene->program, trace->scene->graph, trace->scene->timeline, nullptr, {}};
  if (run_)
    return {run_,
            &run_->program,
            &run_->planning->training().graph,
            &run_->measured,
            &run_->predicted,
            EvidenceTable(*run_)};
  const auto& shown = session_.shown();
  if (!shown) return {};
  return {shown,
          &shown->simulated.program,
          &shown->document->model().graph,
          &shown->simulated.timeline,
          nullptr,
          EvidenceTable(shown->simulated.times)};
}

RangeView::Sums RangeView::sumOf(const Looked& at, const std::optional<TimeRange>& chosen,
                                 const std::vector<size_t>& rankClasses, bool fold) {
  const auto sum = [&](const Timeline& timeline, const RangePrediction& prediction) {
    const TimeRange range = chosen.value_or(TimeRange{Seconds(0), timeline.stepTime});
    return statisticsOf(*at.program, *at.graph, timeline, range, rankClasses, fold, prediction);
  };
  Sums out{sum(*at.timeline, {&at.evidence, at.predicted}), {}};
  // A part of the step holds other instructions there.
  if (at.predicted && !chosen) out.predicted = sum(*at.predicted, {});
  return out;
}

void RangeView::refresh() {
  const Looked at = looked();
  for (QWidget* part : std::initializer_list<QWidget*>{title_, bar_, fold_, view_})
    part->setVisible(at.owner != nullptr);
  empty_->setVisible(at.owner == nullptr);
  jobs_.cancel(Jobs::Lane::simulate);
  if (!at.owner) return take({});
  const auto sum = [at, chosen = selection_.range(), classes = rankClasses(),
                    fold = fold_->isChecked()] { return sumOf(at, chosen, classes, fold); };
  if (at.timeline->spans.size() <= kAtOnce) return take(sum());
  jobs_.run<Sums>(
      Jobs::Lane::simulate, [sum](const JobPointer&) { return sum(); },
      [this](Sums s) { take(std::move(s)); }, [](const Error&) {});
}

void RangeView::take(Sums sums) {
  statistics_ = std::move(sums.shown);
  table_.setRows(statistics_.rows);
  table_.setSelected(selection_.operators());
  bar_->setStatistics(statistics_, sums.predicted ? &*sums.predicted : nullptr);
  describe();
}

void RangeView::describe() {
  const QString when = selection_.range()
                           ? tr("%1 to %2 (%3)")
                                 .arg(text(statistics_.range.begin), text(statistics_.range.end),
                                      text(statistics_.range.end - statistics_.range.begin))
                           : tr("Whole step (%1)").arg(text(statistics_.range.end));
  const QString who =
      session_.trace() ? tr("all %1 processes").arg(statistics_.ranks)
      : selection_.ranks().empty()
          ? (statistics_.ranks == 1 ? tr("the only rank")
                                    : tr("all %1 ranks").arg(statistics_.ranks))
          : tr("ranks %1").arg(QString::fromStdString(rankListText(selection_.ranks())));
  const QString what =
      run_ ? tr(" · run %1, measured beside what was predicted for the same").arg(run_->run.id)
           : QString();
  title_->setText(when + QStringLiteral(" · ") + who + what);
}

void RangeView::clicked(const QModelIndex& index) {
  const size_t row = size_t(sorted_->mapToSource(index).row());
  if (session_.trace()) return;  // no operators of a model
  if (row < statistics_.rows.size()) selection_.setOperators(statistics_.rows[row].operators);
}

}  // namespace meshplan::gui
