// SPDX-License-Identifier: Apache-2.0
#include "gui/views/operator_difference_view.h"

#include <QCheckBox>
#include <QComboBox>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPainter>
#include <QRegularExpression>
#include <QSortFilterProxyModel>
#include <QStyledItemDelegate>
#include <QTableView>

namespace meshplan::gui {
namespace {

constexpr size_t kAtOnce = 20'000;  // spans

/// A bar beside the number, to the right where the second step takes longer.
class BarDelegate : public QStyledItemDelegate {
 public:
  using QStyledItemDelegate::QStyledItemDelegate;

  void paint(QPainter* painter, const QStyleOptionViewItem& option,
             const QModelIndex& index) const override {
    QStyledItemDelegate::paint(painter, option, index);
    const double bar = index.data(OperatorDifference::kBarRole).toDouble();
    const QRectF cell = QRectF(option.rect).adjusted(4, 4, -numberWidth(option), -4);
    const double half = cell.width() / 2, middle = cell.center().x();
    const double length = std::abs(bar) * half;
    painter->fillRect(QRectF(bar > 0 ? middle : middle - length, cell.y(), length, cell.height()),
                      bar > 0 ? worseColour() : betterColour());
    painter->fillRect(QRectF(middle, cell.y() - 2, 1, cell.height() + 4),
                      option.palette.color(QPalette::PlaceholderText));
  }
  QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override {
    const QSize size = QStyledItemDelegate::sizeHint(option, index);
    return {numberWidth(option) + 9 * option.fontMetrics.averageCharWidth(), size.height()};
  }

 private:
  static int numberWidth(const QStyleOptionViewItem& option) {
    return option.fontMetrics.horizontalAdvance(QStringLiteral("100.0 %")) + 12;
  }
};

/// Rows that hold all of the words, in any order.
QRegularExpression expressionOf(const QString& words) {
  QString pattern;
  for (const QString& word : words.split(' ', Qt::SkipEmptyParts))
    pattern += "(?=.*" + QRegularExpression::escape(word) + ")";
  return QRegularExpression(pattern, QRegularExpression::CaseInsensitiveOption);
}

}  // namespace

OperatorDifferenceView::OperatorDifferenceView(Selection& selection, QWidget* parent)
    : QWidget(parent),
      selection_(selection),
      sorted_(new QSortFilterProxyModel(this)),
      words_(new QLineEdit(this)),
      ranks_(new QComboBox(this)),
      fold_(new QCheckBox(tr("Layers together"), this)),
      view_(new QTableView(this)),
      totals_(new QLabel(this)) {
  setObjectName(QStringLiteral("operatorDifference"));
  setAccessibleName(tr("Difference by operator"));
  layOut();
  connect(words_, &QLineEdit::textChanged, this, &OperatorDifferenceView::filter);
  connect(ranks_, &QComboBox::currentIndexChanged, this, &OperatorDifferenceView::refresh);
  connect(fold_, &QCheckBox::toggled, this, &OperatorDifferenceView::refresh);
  connect(view_, &QTableView::clicked, this, &OperatorDifferenceView::clicked);
  connect(view_, &QTableView::activated, this, &OperatorDifferenceView::clicked);
  connect(&selection, &Selection::operatorsChanged, this, &OperatorDifferenceView::followSelection);
}

OperatorDifferenceView::~OperatorDifferenceView() {
  jobs_.disconnect(this);
}

void OperatorDifferenceView::layOut() {
  words_->setObjectName(QStringLiteral("differenceFilter"));
  words_->setPlaceholderText(tr("Filter: mlp backward"));
  words_->setAccessibleName(tr("Filter of the operators"));
  words_->setClearButtonEnabled(true);
  ranks_->addItems({tr("average rank"), tr("slowest stage")});
  ranks_->setObjectName(QStringLiteral("differenceRanks"));
  ranks_->setAccessibleName(tr("Whose time"));
  ranks_->setToolTip(
      tr("Seconds on the average of all ranks, or on those of the stage that "
         "computes longest, of each step"));
  fold_->setObjectName(QStringLiteral("layersTogether"));
  fold_->setChecked(true);
  fold_->setToolTip(tr("Operators whose names differ in layer numbers only are one row"));
  sorted_->setSourceModel(&table_);
  sorted_->setSortRole(OperatorDifference::kSortRole);
  sorted_->setFilterRole(OperatorDifference::kFilterRole);
  view_->setModel(sorted_);
  view_->setItemDelegateForColumn(OperatorDifference::share, new BarDelegate(view_));
  view_->setObjectName(QStringLiteral("differences"));
  view_->setAccessibleName(tr("Operators by difference"));
  view_->setSortingEnabled(true);
  view_->sortByColumn(OperatorDifference::share, Qt::DescendingOrder);
  view_->setSelectionBehavior(QAbstractItemView::SelectRows);
  view_->setAlternatingRowColors(true);
  view_->setShowGrid(false);
  view_->setWordWrap(false);
  view_->setTextElideMode(Qt::ElideLeft);
  view_->verticalHeader()->hide();
  view_->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 6);
  QHeaderView* header = view_->horizontalHeader();
  header->setSectionResizeMode(QHeaderView::ResizeToContents);
  header->setSectionResizeMode(OperatorDifference::name, QHeaderView::Stretch);
  header->setMinimumSectionSize(6 * fontMetrics().averageCharWidth());
  totals_->setObjectName(QStringLiteral("differenceTotals"));
  totals_->setTextInteractionFlags(Qt::TextSelectableByMouse);
  totals_->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
  auto* bar = new QHBoxLayout;
  bar->addWidget(words_, 1);
  bar->addWidget(ranks_);
  bar->addWidget(fold_);
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(0, 0, 0, 0);
  column->addLayout(bar);
  column->addWidget(view_, 1);
  column->addWidget(totals_);
}

void OperatorDifferenceView::show(ComparedStep first, ComparedStep second, bool selectable) {
  first_ = std::move(first);
  second_ = std::move(second);
  selectable_ = selectable;
  refresh();
}

void OperatorDifferenceView::refresh() {
  jobs_.cancel(Jobs::Lane::compare);
  if (!first_ || !second_) return take({});
  const DifferenceOptions options{fold_->isChecked(), ranks_->currentIndex() == 1};
  if (first_.timeline->spans.size() + second_.timeline->spans.size() <= kAtOnce)
    return take(differenceOf(first_, second_, options));
  // What is seen until then is of other steps.
  view_->setEnabled(false);
  jobs_.run<StepDifference>(
      Jobs::Lane::compare,
      [first = first_, second = second_, options](const JobPointer&) {
        return differenceOf(first, second, options);
      },
      [this](StepDifference difference) { take(std::move(difference)); }, [](const Error&) {});
}

void OperatorDifferenceView::take(StepDifference difference) {
  view_->setEnabled(true);
  table_.setDifference(std::move(difference));
  totals_->setText(table_.rowCount() > 0 ? totalsText(table_.shown()) : QString());
  followSelection();
  Q_EMIT summed();
}

void OperatorDifferenceView::filter(const QString& words) {
  sorted_->setFilterRegularExpression(expressionOf(words));
}

void OperatorDifferenceView::clicked(const QModelIndex& index) {
  const int row = sorted_->mapToSource(index).row();
  if (!selectable_ || row < 0 || row >= table_.rowCount()) return;
  clicking_ = true;
  selection_.setOperators(table_.shown().rows[size_t(row)].operators);
  clicking_ = false;
}

void OperatorDifferenceView::followSelection() {
  table_.setSelected(selectable_ ? selection_.operators() : std::vector<OpId>());
  if (clicking_) return;
  for (int row = 0; row < sorted_->rowCount(); ++row) {
    const QModelIndex at = sorted_->index(row, 0);
    if (!table_.isSelected(sorted_->mapToSource(at).row())) continue;
    return view_->scrollTo(at);
  }
}

}  // namespace meshplan::gui
