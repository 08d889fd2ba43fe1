// SPDX-License-Identifier: Apache-2.0
#include "gui/views/compare_view.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QPushButton>
#include <QResizeEvent>
#include <QSplitter>
#include <QStyledItemDelegate>
#include <QVBoxLayout>

#include "gui/text.h"
#include "gui/views/operator_difference_view.h"
#include "gui/views/step_lanes_view.h"

namespace meshplan::gui {
namespace {

constexpr int kSideBySide = 110;  // characters: narrower, and one stands below the other

/// Lets "schedule=interleaved" go on in the next line; what is copied stays as it is.
class StrategyDelegate : public QStyledItemDelegate {
 public:
  using QStyledItemDelegate::QStyledItemDelegate;
  QString displayText(const QVariant& value, const QLocale& locale) const override {
    return QStyledItemDelegate::displayText(value, locale).replace('=', QStringLiteral("=\u200b"));
  }
};

void setUp(QTableView& view) {
  view.setItemDelegate(new StrategyDelegate(&view));
  view.setObjectName("comparison");
  view.setAccessibleName(CompareView::tr("Figures of both steps"));
  view.verticalHeader()->hide();
  view.verticalHeader()->setDefaultSectionSize(view.fontMetrics().height() + 6);
  view.setShowGrid(false);
  view.setAlternatingRowColors(true);
  view.setSelectionBehavior(QAbstractItemView::SelectRows);
  QHeaderView* header = view.horizontalHeader();
  header->setSectionResizeMode(QHeaderView::ResizeToContents);
  for (const int column : {1, 2}) header->setSectionResizeMode(column, QHeaderView::Stretch);
  // Strategies are long, and their columns change with the window.
  QObject::connect(header, &QHeaderView::sectionResized, &view, &QTableView::resizeRowsToContents,
                   Qt::QueuedConnection);
}

}  // namespace

CompareView::CompareView(Session& session, Selection& selection, QWidget* parent)
    : QWidget(parent),
      session_(session),
      first_(new QComboBox(this)),
      second_(new QComboBox(this)),
      unpin_(new QPushButton(tr("Unpin"), this)),
      swap_(new QPushButton(tr("Swap"), this)),
      headline_(new QLabel(this)),
      empty_(new QLabel(tr("Pin a plan (Ctrl+B), then show another one: they stand here side by "
                           "side. So do prediction and measurement of a plan that ran."),
                        this)),
      view_(new QTableView(this)),
      operators_(new OperatorDifferenceView(selection, this)),
      lanes_(new StepLanesView(selection, this)),
      upper_(new QSplitter(this)),
      all_(new QSplitter(Qt::Vertical, this)) {
  setObjectName("CompareView");
  setAccessibleName(tr("Compare"));
  layOut();
  connect(first_, &QComboBox::currentIndexChanged, this, &CompareView::compare);
  connect(second_, &QComboBox::currentIndexChanged, this, &CompareView::compare);
  connect(unpin_, &QPushButton::clicked, this, &CompareView::unpin);
  connect(swap_, &QPushButton::clicked, this, &CompareView::swap);
  connect(operators_, &OperatorDifferenceView::summed, this,
          [this] { headline_->setText(headline(operators_->table().shown())); });
  connect(&session_, &Session::pinnedChanged, this, &CompareView::followPins);
  connect(&session_, &Session::shownChanged, this, &CompareView::fillChoices);
  connect(&session_, &Session::comparedChanged, this, &CompareView::followRun);
  fillChoices();
}

void CompareView::layOut() {
  first_->setObjectName("first");
  first_->setAccessibleName(tr("First step"));
  second_->setObjectName("second");
  second_->setAccessibleName(tr("Second step"));
  for (QComboBox* box : {first_, second_}) {
    box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    box->setMinimumContentsLength(12);
  }
  empty_->setAlignment(Qt::AlignCenter);
  empty_->setWordWrap(true);
  empty_->setForegroundRole(QPalette::PlaceholderText);
  headline_->setObjectName("headline");
  headline_->setWordWrap(true);
  headline_->setTextInteractionFlags(Qt::TextSelectableByMouse);
  swap_->setObjectName("swap");
  swap_->setToolTip(tr("The second step first"));
  unpin_->setObjectName("unpin");
  view_->setModel(&table_);
  setUp(*view_);
  view_->verticalHeader()->setMinimumSectionSize(fontMetrics().height() + 6);
  auto* pin = new QPushButton(tr("Pin the shown plan"), this);
  connect(pin, &QPushButton::clicked, &session_, &Session::pin);
  auto* bar = new QHBoxLayout;
  bar->addWidget(first_, 1);
  bar->addWidget(swap_);
  bar->addWidget(second_, 1);
  bar->addWidget(pin);
  bar->addWidget(unpin_);
  upper_->addWidget(view_);
  upper_->addWidget(operators_);
  upper_->setSizes({2000, 2600});
  upper_->setChildrenCollapsible(false);
  all_->addWidget(upper_);
  all_->addWidget(lanes_);
  all_->setSizes({1000, 1200});
  all_->setChildrenCollapsible(false);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(6, 6, 6, 6);
  layout->addLayout(bar);
  layout->addWidget(headline_);
  layout->addWidget(all_, 1);
  layout->addWidget(empty_, 1);
}

void CompareView::fillChoices() {
  const std::vector<ComparedStep> old = std::exchange(choices_, {});
  if (const auto& shown = session_.shown())
    choices_.push_back(stepOf(shown, tr("shown: %1").arg(text(shown->strategy()))));
  const auto& pinned = session_.pinned();
  for (size_t i = 0; i < pinned.size(); ++i)
    choices_.push_back(
        stepOf(pinned[i], tr("pinned %1: %2").arg(i + 1).arg(text(pinned[i]->strategy()))));
  if (session_.compared())
    for (const bool measured : {false, true})
      choices_.push_back(stepOf(session_.compared(), measured));
  showChoices(old);
  compare();
}

void CompareView::showChoices(const std::vector<ComparedStep>& old) {
  for (QComboBox* box : {first_, second_}) {
    const QSignalBlocker quiet(box);
    const int before = box->currentIndex();
    int now = 0;
    for (size_t i = 0; before > 0 && before < int(old.size()) && i < choices_.size(); ++i)
      if (choices_[i].timeline == old[size_t(before)].timeline) now = int(i);
    box->clear();
    for (const ComparedStep& step : choices_) {
      box->addItem(step.name);
      box->setItemData(box->count() - 1, step.name, Qt::ToolTipRole);
    }
    box->setCurrentIndex(choices_.empty() ? -1 : now);
  }
}

void CompareView::showSteps(const ComparedStep& first, const ComparedStep& second) {
  choices_ = {first, second};
  showChoices({});
  choose(0, 1);
}

bool CompareView::settled() const {
  return operators_->settled() && lanes_->settled();
}

void CompareView::followPins() {
  const bool another = session_.pinned().size() > pinned_;
  const bool ofRun = chosen(*first_).run || chosen(*second_).run;
  const bool same = first_->currentIndex() == second_->currentIndex();
  pinned_ = session_.pinned().size();
  fillChoices();
  if (another && session_.shown() && (ofRun || same)) choose(int(pinned_), 0);
}

void CompareView::followRun() {
  fillChoices();
  if (session_.compared()) choose(int(choices_.size()) - 2, int(choices_.size()) - 1);
}

void CompareView::choose(int first, int second) {
  {
    const QSignalBlocker quiet(first_);
    first_->setCurrentIndex(first);
  }
  const QSignalBlocker quiet(second_);
  second_->setCurrentIndex(second);
  compare();
}

void CompareView::swap() {
  choose(second_->currentIndex(), first_->currentIndex());
}

int CompareView::pinnedAt(const QComboBox& box) const {
  const int index = box.currentIndex() - (session_.shown() ? 1 : 0);
  return index >= 0 && index < int(session_.pinned().size()) ? index : -1;
}

void CompareView::unpin() {
  const int at = pinnedAt(*first_) >= 0 ? pinnedAt(*first_) : pinnedAt(*second_);
  if (at >= 0) session_.unpin(size_t(at));
}

ComparedStep CompareView::chosen(const QComboBox& box) const {
  const int index = box.currentIndex();
  return index >= 0 && index < int(choices_.size()) ? choices_[size_t(index)] : ComparedStep();
}

void CompareView::compare() {
  const bool two = choices_.size() > 1;
  for (QWidget* part : std::initializer_list<QWidget*>{all_, headline_}) part->setVisible(two);
  empty_->setVisible(!two);
  for (QComboBox* box : {first_, second_}) {
    box->setEnabled(two);
    box->setToolTip(box->currentText());
  }
  swap_->setEnabled(two);
  unpin_->setEnabled(pinnedAt(*first_) >= 0 || pinnedAt(*second_) >= 0);
  const ComparedStep a = two ? chosen(*first_) : ComparedStep();
  const ComparedStep b = two ? chosen(*second_) : ComparedStep();
  table_.show(a, b);
  QMetaObject::invokeMethod(view_, &QTableView::resizeRowsToContents, Qt::QueuedConnection);
  const bool ofOpenModel = two && session_.shown() && sameModel(a, choices_.front());
  operators_->show(a, b, ofOpenModel);
  lanes_->show(a, b, ofOpenModel);
}

void CompareView::resizeEvent(QResizeEvent* event) {
  QWidget::resizeEvent(event);
  const bool wide = width() >= kSideBySide * fontMetrics().averageCharWidth();
  upper_->setOrientation(wide ? Qt::Horizontal : Qt::Vertical);
}

}  // namespace meshplan::gui
