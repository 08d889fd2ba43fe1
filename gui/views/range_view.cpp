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

#include "app/human.h"
#include "gui/models/timeline_scene.h"
#include "gui/views/lane_raster.h"

namespace meshplan::gui {
namespace {

constexpr size_t kAtOnce = 200'000;

QString seconds(Seconds t) {
  return QString::fromStdString(secondsText(t));
}

}  // namespace

ShareBar::ShareBar(QWidget* parent) : QWidget(parent) {
  setObjectName(QStringLiteral("shareBar"));
  setAccessibleName(tr("Shares of the time"));
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

QSize ShareBar::sizeHint() const {
  return {14 * fontMetrics().averageCharWidth() * 3, 6 * fontMetrics().height()};
}

void ShareBar::setStatistics(const RangeStatistics& s) {
  const double length = (s.range.end - s.range.begin).value;
  const auto part = [&](const QString& name, Seconds time, SpanKind kind) {
    const double share = length > 0 ? time.value / length : 0;
    parts_.push_back(
        {tr("%1  %2  %3").arg(name, QString::fromStdString(percentText(share)), seconds(time)),
         share, kind});
  };
  parts_.clear();
  part(tr("compute"), s.compute, SpanKind::forward);
  part(tr("optimizer"), s.optimizer, SpanKind::update);
  part(tr("exposed communication"), s.exposed, SpanKind::collective);
  part(tr("idle"), s.idle, SpanKind::bubble);
  QStringList all;
  for (const Part& p : parts_) all << p.text;
  setAccessibleDescription(all.join(QStringLiteral(", ")));
  update();
}

void ShareBar::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  const double line = fontMetrics().height();
  double x = 0, y = 1.8 * line;
  for (const Part& p : parts_) {
    const double wide = p.share * width();
    paintKind(painter, {x, 2, wide, 1.2 * line}, p.kind, palette());
    x += wide;
    const double box = std::round(0.7 * line);
    paintKind(painter, {0, y + (line - box) / 2, 1.6 * box, box}, p.kind, palette());
    painter.setPen(palette().color(QPalette::WindowText));
    painter.drawText(QRectF(2.2 * box, y, width() - 2.2 * box, line), Qt::AlignVCenter, p.text);
    y += line;
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

std::vector<size_t> RangeView::rankClasses() const {
  std::vector<size_t> out;
  if (session_.trace()) return out;
  const Program& program = session_.shown()->simulated.program;
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
    return {trace, trace->scene->program, trace->scene->graph, trace->scene->timeline};
  const auto& shown = session_.shown();
  if (!shown) return {};
  return {shown, &shown->simulated.program, &shown->document->model().graph,
          &shown->simulated.timeline};
}

void RangeView::refresh() {
  const Looked at = looked();
  for (QWidget* part : std::initializer_list<QWidget*>{title_, bar_, fold_, view_})
    part->setVisible(at.owner != nullptr);
  empty_->setVisible(at.owner == nullptr);
  jobs_.cancel(Jobs::Lane::simulate);
  if (!at.owner) return take({});
  const TimeRange range = selection_.range().value_or(TimeRange{Seconds(0), at.timeline->stepTime});
  const auto sum = [at, range, classes = rankClasses(), fold = fold_->isChecked()] {
    return statisticsOf(*at.program, *at.graph, *at.timeline, range, classes, fold);
  };
  if (at.timeline->spans.size() <= kAtOnce) return take(sum());
  jobs_.run<RangeStatistics>(
      Jobs::Lane::simulate, [sum](const JobPointer&) { return sum(); },
      [this](RangeStatistics s) { take(std::move(s)); }, [](const Error&) {});
}

void RangeView::take(RangeStatistics statistics) {
  statistics_ = std::move(statistics);
  table_.setRows(statistics_.rows);
  table_.setSelected(selection_.operators());
  bar_->setStatistics(statistics_);
  describe();
}

void RangeView::describe() {
  const QString when =
      selection_.range()
          ? tr("%1 to %2 (%3)")
                .arg(seconds(statistics_.range.begin), seconds(statistics_.range.end),
                     seconds(statistics_.range.end - statistics_.range.begin))
          : tr("Whole step (%1)").arg(seconds(statistics_.range.end));
  const QString who =
      session_.trace() ? tr("all %1 processes").arg(statistics_.ranks)
      : selection_.ranks().empty()
          ? (statistics_.ranks == 1 ? tr("the only rank")
                                    : tr("all %1 ranks").arg(statistics_.ranks))
          : tr("ranks %1").arg(QString::fromStdString(rankListText(selection_.ranks())));
  title_->setText(when + QStringLiteral(" · ") + who);
}

void RangeView::clicked(const QModelIndex& index) {
  const size_t row = size_t(sorted_->mapToSource(index).row());
  if (session_.trace()) return;  // no operators of a model
  if (row < statistics_.rows.size()) selection_.setOperators(statistics_.rows[row].operators);
}

}  // namespace meshplan::gui
