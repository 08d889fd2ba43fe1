// SPDX-License-Identifier: Apache-2.0
#include "gui/views/runs_view.h"

#include <QDialogButtonBox>
#include <QFileInfo>
#include <QHeaderView>
#include <QLabel>
#include <QSortFilterProxyModel>
#include <QVBoxLayout>

#include "gui/text.h"

namespace meshplan::gui {

RunsView::RunsView(Session& session, std::shared_ptr<const OpenStore> store, QWidget* parent)
    : QDialog(parent),
      session_(session),
      store_(std::move(store)),
      sorted_(new QSortFilterProxyModel(this)),
      view_(new QTableView(this)),
      compare_(new QPushButton(tr("&Compare with the prediction"), this)),
      use_(new QPushButton(tr("Predict from this &store"), this)) {
  setObjectName("RunsView");
  setAttribute(Qt::WA_DeleteOnClose);
  setWindowTitle(tr("Runs in %1").arg(QFileInfo(text(store_->path)).fileName()));
  table_.setRuns(store_->runs);
  layOut();
  connect(compare_, &QPushButton::clicked, this, &RunsView::compare);
  connect(use_, &QPushButton::clicked, this, &RunsView::use);
  connect(view_, &QTableView::activated, this, &RunsView::compare);
  view_->setCurrentIndex(sorted_->index(0, 0));
  view_->setFocus();
}

void RunsView::layOut() {
  auto* column = new QVBoxLayout(this);
  const auto count = static_cast<int>(store_->runs.size());
  auto* title =
      new QLabel(count > 0 ? tr("%n training run(s) in %1", nullptr, count).arg(text(store_->path))
                           : tr("No training run is in %1.").arg(text(store_->path)),
                 this);
  title->setWordWrap(true);
  column->addWidget(title);
  sorted_->setSourceModel(&table_);
  sorted_->setSortRole(RunTable::kSortRole);
  view_->setModel(sorted_);
  view_->setObjectName("runTable");
  view_->setAccessibleName(tr("Training runs"));
  view_->setSortingEnabled(true);
  view_->sortByColumn(RunTable::when, Qt::DescendingOrder);
  view_->setSelectionBehavior(QAbstractItemView::SelectRows);
  view_->setSelectionMode(QAbstractItemView::SingleSelection);
  view_->setAlternatingRowColors(true);
  view_->setShowGrid(false);
  view_->setWordWrap(false);
  view_->setTabKeyNavigation(false);
  view_->verticalHeader()->hide();
  view_->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 8);
  view_->resizeColumnsToContents();
  column->addWidget(view_, 1);
  auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, this);
  compare_->setObjectName("compareRun");
  compare_->setEnabled(count > 0);
  compare_->setDefault(true);
  use_->setObjectName("useStore");
  use_->setToolTip(tr("Measurements in this store correct predictions from now on"));
  buttons->addButton(compare_, QDialogButtonBox::ActionRole);
  buttons->addButton(use_, QDialogButtonBox::ActionRole);
  connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
  column->addWidget(buttons);
  int wide = 60;
  for (int c = 0; c < RunTable::kColumns; ++c) wide += view_->columnWidth(c);
  resize(std::clamp(wide, 560, 1000), fontMetrics().height() * 22);
}

void RunsView::compare() {
  const QModelIndex index = sorted_->mapToSource(view_->currentIndex());
  if (index.isValid()) session_.compareWithRun(table_.run(index.row()).id, store_->path);
}

void RunsView::use() {
  session_.useProfiles(store_->path);
  Q_EMIT session_.noticed(tr("Predictions are made from %1 now.").arg(text(store_->path)));
  close();
}

}  // namespace meshplan::gui
