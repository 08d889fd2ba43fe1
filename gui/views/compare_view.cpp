// SPDX-License-Identifier: Apache-2.0
#include "gui/views/compare_view.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QPushButton>
#include <QVBoxLayout>

#include "app/planning.h"
#include "gui/text.h"

namespace meshplan::gui {

CompareView::CompareView(Session& session, Selection&, QWidget* parent)
    : QWidget(parent),
      session_(session),
      first_(new QComboBox(this)),
      second_(new QComboBox(this)),
      empty_(new QLabel(tr("Pin a plan (Ctrl+B), then show another one: they stand here side by "
                           "side."),
                        this)),
      view_(new QTableView(this)) {
  setObjectName("CompareView");
  setAccessibleName(tr("Compare"));
  first_->setObjectName("first");
  first_->setAccessibleName(tr("First plan"));
  second_->setObjectName("second");
  second_->setAccessibleName(tr("Second plan"));
  empty_->setAlignment(Qt::AlignCenter);
  empty_->setEnabled(false);
  view_->setModel(&table_);
  view_->setObjectName("comparison");
  view_->setAccessibleName(tr("Figures of both plans"));
  view_->verticalHeader()->hide();
  view_->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 8);
  view_->setShowGrid(false);
  view_->setAlternatingRowColors(true);
  view_->setSelectionBehavior(QAbstractItemView::SelectRows);
  auto* pin = new QPushButton(tr("Pin the shown plan"), this);
  auto* unpin = new QPushButton(tr("Unpin"), this);
  connect(pin, &QPushButton::clicked, &session_, &Session::pin);
  connect(unpin, &QPushButton::clicked, this, [this] {
    if (first_->currentIndex() > 0) session_.unpin(static_cast<size_t>(first_->currentIndex() - 1));
  });
  auto* bar = new QHBoxLayout;
  bar->addWidget(first_, 1);
  bar->addWidget(second_, 1);
  bar->addWidget(pin);
  bar->addWidget(unpin);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(6, 6, 6, 6);
  layout->addLayout(bar);
  layout->addWidget(view_, 1);
  layout->addWidget(empty_, 1);
  connect(first_, &QComboBox::currentIndexChanged, this, &CompareView::compare);
  connect(second_, &QComboBox::currentIndexChanged, this, &CompareView::compare);
  connect(&session_, &Session::pinnedChanged, this, &CompareView::fillChoices);
  connect(&session_, &Session::shownChanged, this, &CompareView::fillChoices);
  fillChoices();
}

void CompareView::fillChoices() {
  const size_t pinned = session_.pinned().size();
  for (QComboBox* box : {first_, second_}) {
    const QSignalBlocker quiet(box);
    const int before = box->currentIndex();
    box->clear();
    box->addItem(tr("the shown plan"));
    for (size_t i = 0; i < pinned; ++i)
      box->addItem(tr("pinned %1: %2").arg(i + 1).arg(text(session_.pinned()[i]->strategy())));
    box->setCurrentIndex(before >= 0 && before < box->count() ? before : 0);
  }
  const QSignalBlocker quiet(first_);
  if (first_->currentIndex() == second_->currentIndex() && pinned > 0) first_->setCurrentIndex(1);
  compare();
}

const ShownPlan* CompareView::chosen(const QComboBox& box) const {
  if (box.currentIndex() <= 0) return session_.shown().get();
  return session_.pinned()[static_cast<size_t>(box.currentIndex() - 1)].get();
}

void CompareView::compare() {
  const bool two = !session_.pinned().empty() && session_.shown();
  view_->setVisible(two);
  empty_->setVisible(!two);
  table_.show(two ? chosen(*first_) : nullptr, two ? chosen(*second_) : nullptr);
  view_->resizeColumnsToContents();
}

}  // namespace meshplan::gui
