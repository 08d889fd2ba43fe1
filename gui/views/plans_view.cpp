// SPDX-License-Identifier: Apache-2.0
#include "gui/views/plans_view.h"

#include <QHeaderView>
#include <QLabel>
#include <QSplitter>
#include <QVBoxLayout>

#include "gui/views/plan_scatter.h"

namespace meshplan::gui {
namespace {

QLineEdit* line(const QString& hint, const QString& name, QWidget* parent) {
  auto* edit = new QLineEdit(parent);
  edit->setPlaceholderText(hint);
  edit->setAccessibleName(name);
  edit->setClearButtonEnabled(true);
  return edit;
}

}  // namespace

PlansView::PlansView(Session& session, Selection&, QWidget* parent)
    : QWidget(parent),
      session_(session),
      stale_(new QLabel(this)),
      view_(new QTableView(this)),
      words_(line(tr("Filter: tp<=4 mem<60 zero=1 …"), tr("Filter of plans"), this)),
      whyNot_(line(tr("Why not …? A strategy, e.g. dp=8,tp=1,pp=1,mbs=1"), tr("A strategy to try"),
                   this)) {
  setObjectName("PlansView");
  setAccessibleName(tr("Plans"));
  words_->setObjectName("planFilter");
  stale_->setObjectName("stalePlans");
  stale_->setWordWrap(true);
  stale_->setContentsMargins(4, 2, 4, 2);
  connect(stale_, &QLabel::linkActivated, &session_, &Session::startSearch);
  whyNot_->setObjectName("whyNot");
  filter_.setSourceModel(&table_);
  view_->setObjectName("planTable");
  view_->setAccessibleName(tr("Plans"));
  view_->setModel(&filter_);
  view_->setSortingEnabled(true);
  view_->sortByColumn(PlanTable::step, Qt::AscendingOrder);
  view_->setSelectionBehavior(QAbstractItemView::SelectRows);
  view_->setSelectionMode(QAbstractItemView::SingleSelection);
  view_->setAlternatingRowColors(true);
  view_->setShowGrid(false);
  view_->setWordWrap(false);
  view_->verticalHeader()->hide();
  view_->verticalHeader()->setDefaultSectionSize(view_->fontMetrics().height() + 8);
  view_->horizontalHeader()->setHighlightSections(false);
  auto* top = new QWidget(this);
  auto* rows = new QVBoxLayout(top);
  rows->setContentsMargins(0, 0, 0, 0);
  rows->addWidget(words_);
  rows->addWidget(stale_);
  rows->addWidget(view_, 1);
  rows->addWidget(whyNot_);
  auto* split = new QSplitter(Qt::Vertical, this);
  split->addWidget(top);
  split->addWidget(new PlanScatter(session_, split));
  split->setStretchFactor(0, 3);
  split->setStretchFactor(1, 2);
  split->setChildrenCollapsible(false);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->addWidget(split);
  connect(words_, &QLineEdit::textChanged, &filter_, &PlanFilter::setText);
  connect(whyNot_, &QLineEdit::returnPressed, this,
          [this] { session_.tryStrategy(whyNot_->text().simplified(), tr("Try a strategy")); });
  connect(view_, &QTableView::clicked, this, &PlansView::openRow);
  connect(view_, &QTableView::activated, this, &PlansView::openRow);
  for (const auto changed : {&Session::documentChanged, &Session::shownChanged,
                             &Session::constraintsChanged, &Session::searchChanged})
    connect(&session_, changed, this, &PlansView::showStale);
  connect(&session_, &Session::foundChanged, this, &PlansView::showFound);
  connect(&session_, &Session::shownChanged, this, &PlansView::markShown);
  showFound();
}

void PlansView::showFound() {
  const auto& document = session_.document();
  table_.show(session_.found(), document && document->model().tokensPerSample > 1);
  view_->resizeColumnsToContents();
  markShown();
  showStale();
}

void PlansView::markShown() {
  const int row = session_.shown() ? table_.rowOf(session_.shown()->report.strategy) : -1;
  if (row < 0 || !isShown(table_.report(row))) return view_->clearSelection();
  view_->selectRow(filter_.mapFromSource(table_.index(row, 0)).row());
}

bool PlansView::isShown(const PlanReport& report) const {
  if (!session_.shown()) return false;
  const PlanReport& shown = session_.shown()->report;
  return shown.strategy == report.strategy && shown.plan.chunkStarts == report.plan.chunkStarts;
}

/// What was found is of another cluster or other limits once these have changed.
void PlansView::showStale() {
  const bool searches = session_.search().running;
  stale_->setVisible(session_.document() && !session_.foundIsCurrent() && !searches);
  stale_->setText(table_.rowCount() == 0
                      ? tr("Nothing was searched yet. <a href='#'>Search for plans (F5)</a>")
                      : tr("These figures were searched for another cluster or under other limits. "
                           "<a href='#'>Search again (F5)</a>"));
}

void PlansView::openRow(const QModelIndex& index) {
  const PlanReport& report = table_.report(filter_.mapToSource(index).row());
  if (isShown(report)) return;
  session_.show(report, tr("Show a plan"));
}

}  // namespace meshplan::gui
