// SPDX-License-Identifier: Apache-2.0
#include "gui/views/step_lanes_view.h"

#include <QComboBox>
#include <QGridLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QMouseEvent>
#include <QPushButton>
#include <QScrollBar>
#include <QToolTip>
#include <algorithm>

#include "gui/models/span_text.h"
#include "gui/text.h"
#include "gui/views/lag_paint.h"
#include "gui/views/timeline_strips.h"

namespace meshplan::gui {
namespace {

constexpr size_t kAtOnce = 20'000;  // spans

}  // namespace

DifferenceLane::DifferenceLane(TimelineState& state, QWidget* parent)
    : QWidget(parent), state_(state) {
  setObjectName(QStringLiteral("differenceLane"));
  setAccessibleName(tr("Difference of both steps over time"));
  setMouseTracking(true);
  setMinimumHeight(5 * fontMetrics().height());
  const auto redraw = qOverload<>(&QWidget::update);
  connect(&state, &TimelineState::sceneChanged, this, redraw);
  connect(&state.window(), &TimeWindow::changed, this, redraw);
  connect(&state.selection(), &Selection::rangeChanged, this, redraw);
}

QSize DifferenceLane::sizeHint() const {
  return {200, 8 * fontMetrics().height()};
}

void DifferenceLane::show(std::shared_ptr<const StepLag> lag) {
  lag_ = std::move(lag);
  update();
}

QRectF DifferenceLane::plot() const {
  const TimeScale scale = state_.scale(width());
  return {scale.x, 2, scale.width, height() - 4.0};
}

void DifferenceLane::paintEvent(QPaintEvent*) {
  if (!lag_) return;
  QPainter painter(this);
  const TimeScale scale = state_.scale(width());
  paintLagHeader(painter, QRectF(0, 0, scale.x, height()), *lag_, palette());
  paintLag(painter, plot(), scale, *lag_, palette());
  if (const auto& range = state_.selection().range()) {
    painter.setPen(QPen(palette().color(QPalette::Highlight), 1.5));
    for (const Seconds t : {range->begin, range->end})
      if (const double x = scale.xOf(t.value); x >= scale.x && x <= width())
        painter.drawLine(QLineF(x, 0, x, height()));
  }
}

void DifferenceLane::mouseMoveEvent(QMouseEvent* event) {
  if (!lag_ || !plot().contains(event->position())) return QToolTip::hideText();
  QToolTip::showText(event->globalPosition().toPoint(),
                     lagTip(*lag_, state_.scale(width()).timeAt(event->position().x())), this);
}

/// What comes from beside.
struct StepLanesView::Made {
  std::array<std::shared_ptr<const TimelineScene>, 2> scenes;
  std::shared_ptr<const StepLag> lag;
};

StepLanesView::StepLanesView(Selection& selection, QWidget* parent)
    : QWidget(parent), selection_(selection) {
  setObjectName(QStringLiteral("stepLanes"));
  setAccessibleName(tr("Both steps over time"));
  setFocusPolicy(Qt::StrongFocus);
  for (size_t i = 0; i < 2; ++i) {
    states_[i] = std::make_unique<TimelineState>(selection, nullptr, &window_);
    lanes_[i] = new TimelineLanes(*states_[i], this);
    stages_[i] = new QComboBox(this);
    stages_[i]->setSizeAdjustPolicy(QComboBox::AdjustToContents);
    names_[i] = new QLabel(this);
    connect(stages_[i], &QComboBox::currentIndexChanged, this, [this, i] { stageChosen(i); });
    connect(states_[i].get(), &TimelineState::chosenChanged, this, [this, i] { tell(i); });
  }
  difference_ = new DifferenceLane(*states_[0], this);
  layOut();
}

StepLanesView::~StepLanesView() {
  jobs_.disconnect(this);
}

QWidget* StepLanesView::header(size_t which, const QString& name) {
  auto* row = new QWidget(this);
  auto* layout = new QHBoxLayout(row);
  layout->setContentsMargins(4, 2, 0, 2);
  stages_[which]->setAccessibleName(name);
  stages_[which]->setObjectName(which == 0 ? QStringLiteral("firstStage")
                                           : QStringLiteral("secondStage"));
  lanes_[which]->setObjectName(which == 0 ? QStringLiteral("firstLanes")
                                          : QStringLiteral("secondLanes"));
  layout->addWidget(stages_[which]);
  layout->addWidget(names_[which], 1);
  names_[which]->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
  return row;
}

void StepLanesView::layOut() {
  auto* grid = new QGridLayout(this);
  grid->setContentsMargins(0, 0, 0, 0);
  grid->setSpacing(0);
  QWidget* top = header(0, tr("Stage of the first step"));
  const auto button = [&](const QString& text, const QString& tip, auto run) {
    auto* made = new QPushButton(text, top);
    made->setToolTip(tip);
    made->setFocusPolicy(Qt::NoFocus);
    made->setMaximumWidth(made->fontMetrics().horizontalAdvance(text) + 28);
    connect(made, &QPushButton::clicked, this, run);
    top->layout()->addWidget(made);
  };
  const auto middle = [this] { return (window_.begin() + window_.end()) / 2; };
  button(tr("Fit"), tr("Fit the selection, or everything (F)"), [this] { fit(); });
  button(tr("+"), tr("Closer (W)"), [this, middle] { window_.zoom(middle(), 0.5); });
  button(tr("−"), tr("Farther (S)"), [this, middle] { window_.zoom(middle(), 2); });
  grid->addWidget(top, 0, 0, 1, 2);
  grid->addWidget(new TimelineRuler(*states_[0], this), 1, 0);
  grid->addWidget(difference_, 3, 0);
  grid->addWidget(header(1, tr("Stage of the second step")), 4, 0, 1, 2);
  grid->addWidget(new TimelineLegend(this), 6, 0, 1, 2);
  told_ = new QLabel(this);
  told_->setObjectName(QStringLiteral("laneChosen"));
  told_->setTextFormat(Qt::PlainText);
  told_->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
  told_->setContentsMargins(10, 2, 4, 2);
  grid->addWidget(told_, 7, 0, 1, 2);
  for (size_t i = 0; i < 2; ++i) {
    auto* scroll = new QScrollBar(Qt::Vertical, this);
    grid->addWidget(lanes_[i], i == 0 ? 2 : 5, 0);
    grid->addWidget(scroll, i == 0 ? 2 : 5, 1);
    grid->setRowStretch(i == 0 ? 2 : 5, 2);
    lanes_[i]->scrollWith(*scroll);
    connect(lanes_[i], &TimelineLanes::contentHeightChanged, this, [this, i] {
      lanes_[i]->setMaximumHeight(std::max(lanes_[i]->minimumHeight(), lanes_[i]->contentHeight()));
    });
  }
  grid->setRowStretch(3, 3);
  tell(0);
}

void StepLanesView::show(ComparedStep first, ComparedStep second, bool ofOpenModel) {
  steps_ = {std::move(first), std::move(second)};
  ofOpenModel_ = ofOpenModel;
  const bool any = steps_[0] && steps_[1];
  sameProgram_ = any && sameProgram(*steps_[0].program, *steps_[1].program);
  if (any) fillStages();
  refresh();
}

void StepLanesView::fillStages() {
  const size_t second = steps_[1].slowestStage();
  const std::array<size_t, 2> slowest{sameProgram_ ? second : steps_[0].slowestStage(), second};
  for (size_t i = 0; i < 2; ++i) {
    const QSignalBlocker quiet(stages_[i]);
    const size_t stages = steps_[i].program->rankClasses.size();
    stages_[i]->clear();
    for (size_t c = 0; c < stages; ++c)
      stages_[i]->addItem(c == slowest[i] && stages > 1 ? tr("stage %1, the slowest").arg(c)
                                                        : tr("stage %1").arg(c));
    stages_[i]->setCurrentIndex(int(slowest[i]));
    stages_[i]->setEnabled(stages > 1);
    names_[i]->setText((i == 0 ? tr("of the first step (%1): %2") : tr("of the second (%1): %2"))
                           .arg(text(steps_[i].timeline->stepTime), steps_[i].name));
    names_[i]->setToolTip(steps_[i].name);
  }
}

void StepLanesView::stageChosen(size_t which) {
  if (sameProgram_) {
    const QSignalBlocker quiet(stages_[1 - which]);
    stages_[1 - which]->setCurrentIndex(stages_[which]->currentIndex());
  }
  refresh();
}

void StepLanesView::refresh() {
  jobs_.cancel(Jobs::Lane::load);
  if (!steps_[0] || !steps_[1]) return take({});
  const std::array<size_t, 2> stages{size_t(stages_[0]->currentIndex()),
                                     size_t(stages_[1]->currentIndex())};
  const auto make = [steps = steps_, stages, twins = sameProgram_ && stages[0] == stages[1]] {
    const double length = std::max(steps[0].timeline->stepTime, steps[1].timeline->stepTime).value;
    Made made;
    for (size_t i = 0; i < 2; ++i)
      made.scenes[i] = sceneOf(steps[i], stages[i], twins && i == 1 ? &steps[0] : nullptr, length);
    made.lag = std::make_shared<const StepLag>(lagOf(steps[0], stages[0], steps[1], stages[1]));
    return made;
  };
  if (steps_[0].timeline->spans.size() + steps_[1].timeline->spans.size() <= kAtOnce)
    return take(make());
  jobs_.run<Made>(
      Jobs::Lane::load, [make](const JobPointer&) { return make(); },
      [this](const Made& made) { take(made); }, [](const Error&) {});
}

void StepLanesView::take(const Made& made) {
  double header = 0;
  for (const auto& scene : made.scenes)
    if (scene) header = std::max(header, laneHeaderWidth(QFontMetricsF(font()), *scene));
  lag_ = made.lag;
  difference_->show(lag_);
  for (size_t i = 0; i < 2; ++i) {
    states_[i]->setOfOpenModel(ofOpenModel_);
    states_[i]->setHeaderWidth(header);
    states_[i]->setScene(made.scenes[i]);
  }
  Q_EMIT drawn();
}

void StepLanesView::tell(size_t which) {
  const auto& chosen = states_[which]->chosen();
  told_->setText(chosen && states_[which]->scene() ? spanLine(*states_[which]->scene(), *chosen)
                                                   : tr("Click a span to learn about it."));
}

void StepLanesView::fit() {
  const auto& range = selection_.range();
  if (!range) return window_.showAll();
  const double margin = 0.05 * (range->end - range->begin).value;
  const double begin = range->begin.value - margin, end = range->end.value + margin;
  const bool already = std::abs(window_.begin() - std::max(0.0, begin)) < margin;
  if (already && window_.length() <= 1.2 * (end - begin)) return window_.showAll();
  window_.show(begin, end);
}

void StepLanesView::keyPressEvent(QKeyEvent* event) {
  const bool plain = !(event->modifiers() & (Qt::ControlModifier | Qt::AltModifier));
  const double at = (lanes_[1]->underMouse() ? lanes_[1] : lanes_[0])->pointedTime();
  if (plain && event->key() == Qt::Key_F) return fit();
  if (plain && event->key() == Qt::Key_Escape) {
    for (auto& state : states_) state->setChosen(std::nullopt);
    return selection_.clear();
  }
  if (!plain || !window_.followKey(event->key(), at)) QWidget::keyPressEvent(event);
}

}  // namespace meshplan::gui
