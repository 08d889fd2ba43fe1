// SPDX-License-Identifier: Apache-2.0
#include "gui/views/timeline_view.h"

#include <QAction>
#include <QGridLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QScrollBar>
#include <QToolBar>
#include <algorithm>
#include <cmath>

#include "gui/models/span_text.h"
#include "gui/models/timeline_steps.h"
#include "gui/views/timeline_strips.h"

namespace meshplan::gui {
namespace {

constexpr size_t kAtOnce = 200'000;    // spans whose tracks are made without anybody noticing
constexpr double kBubbleShare = 1e-3;  // of the step: shorter bubbles are no place to go

using ScenePointer = std::shared_ptr<const TimelineScene>;

size_t spansOf(const ShownPlan& shown, const Timeline* measured) {
  return shown.simulated.timeline.spans.size() + (measured ? measured->spans.size() : 0);
}

}  // namespace

TimelineView::TimelineView(Session& session, Selection& selection, QWidget* parent)
    : QWidget(parent),
      session_(session),
      state_(selection, nullptr),
      bar_(new QToolBar(this)),
      lanes_(new TimelineLanes(state_, this)),
      scroll_(new QScrollBar(Qt::Vertical, this)),
      told_(new QLabel(this)),
      help_(new TimelineHelp(this)) {
  setObjectName(QStringLiteral("timelineView"));
  setAccessibleName(tr("Timeline"));
  setFocusPolicy(Qt::StrongFocus);
  lanes_->setEmptyText(tr("Nothing is shown yet: open a model, and its step appears here."));
  makeActions();
  layOut();
  lanes_->scrollWith(*scroll_);
  connect(&session, &Session::shownChanged, this, &TimelineView::showPlan);
  connect(&session, &Session::comparedChanged, this, [this] { setRunShown(true); });
  connect(&session, &Session::traceChanged, this, [this] {
    if (runShown()) setRunShown(false);
  });
  showSession();
}

TimelineView::~TimelineView() {
  jobs_.disconnect(this);
}

void TimelineView::makeActions() {
  const auto action = [this](const QString& text, const QString& tip, auto run) {
    QAction* made = bar_->addAction(text);
    made->setToolTip(tip);
    connect(made, &QAction::triggered, this, run);
    return made;
  };
  const auto zoom = [this](double factor) { state_.window().zoom(lanes_->pointedTime(), factor); };
  bar_->setObjectName(QStringLiteral("timelineBar"));
  action(tr("Fit"), tr("Fit the selection, or everything (F)"), [this] { fit(); });
  action(tr("+"), tr("Closer (W)"), [zoom] { zoom(0.5); });
  action(tr("−"), tr("Farther (S)"), [zoom] { zoom(2); });
  bar_->addSeparator();
  critical_ = action(tr("Critical path"), tr("What the step waits for (C)"),
                     [this](bool on) { setCriticalPathShown(on); });
  critical_->setCheckable(true);
  flows_ = action(tr("Flows"), tr("Lines from send to receive (L)"),
                  [this](bool on) { lanes_->setFlowsShown(on); });
  flows_->setCheckable(true);
  flows_->setChecked(true);
  run_ = action(tr("Measured"), tr("The last run, measured below predicted, or the plan (R)"),
                [this](bool on) { setRunShown(on); });
  run_->setCheckable(true);
  run_->setVisible(false);
  action(tr("Keys ?"), tr("Keys of the timeline (?)"), [this] { toggleHelp(); });
}

void TimelineView::layOut() {
  auto* grid = new QGridLayout(this);
  grid->setContentsMargins(0, 0, 0, 0);
  grid->setSpacing(0);
  grid->addWidget(bar_, 0, 0, 1, 2);
  grid->addWidget(new TimelineMinimap(state_, this), 1, 0);
  grid->addWidget(new TimelineRuler(state_, this), 2, 0);
  grid->addWidget(lanes_, 3, 0);
  grid->addWidget(scroll_, 3, 1);
  grid->addWidget(new TimelineMemory(state_, this), 4, 0);
  grid->addWidget(new TimelineLegend(this), 5, 0, 1, 2);
  grid->addWidget(told_, 6, 0, 1, 2);
  grid->setRowStretch(3, 1);
  told_->setObjectName(QStringLiteral("timelineChosen"));
  told_->setTextFormat(Qt::PlainText);
  told_->setTextInteractionFlags(Qt::TextSelectableByMouse);
  told_->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
  told_->setContentsMargins(10, 2, 4, 4);
  connect(&state_, &TimelineState::chosenChanged, this, &TimelineView::tellChosen);
  tellChosen();
}

void TimelineView::tellChosen() {
  const bool any = state_.scene() && state_.chosen();
  told_->setText(any ? spanLine(*state_.scene(), *state_.chosen())
                     : tr("Click a span to learn about it; ? shows the keys."));
  told_->setToolTip(any ? told_->text() : QString());
  told_->setVisible(state_.scene() != nullptr);
}

bool TimelineView::runShown() const {
  return run_->isChecked();
}

void TimelineView::setRunShown(bool shown) {
  shown = shown && session_.compared();
  run_->setVisible(session_.compared() != nullptr);
  run_->setChecked(shown);
  showSession();
  Q_EMIT runShownChanged(shown ? session_.compared() : nullptr);
}

void TimelineView::showPlan() {
  if (runShown()) return setRunShown(false);
  showSession();
}

void TimelineView::showSession() {
  if (session_.shown() != shown_) measured_.reset();
  shown_ = session_.shown();
  jobs_.cancel(Jobs::Lane::load);
  const auto run = runShown() ? session_.compared() : nullptr;
  if (!shown_ && !run) return showScene({});
  const std::function<ScenePointer()> make = [shown = shown_, measured = measured_, run] {
    return run ? sceneOf(run) : sceneOf(shown, measured);
  };
  state_.setOfOpenModel(!run ||
                        (shown_ && sameModel(stepOf(run, true), stepOf(shown_, QString()))));
  const size_t spans = run ? 2 * run->measured.spans.size() : spansOf(*shown_, measured_.get());
  if (spans <= kAtOnce) return showScene(make());
  jobs_.run<ScenePointer>(
      Jobs::Lane::load, [make](const JobPointer&) { return make(); },
      [this](ScenePointer scene) { showScene(std::move(scene)); }, [](const Error&) {});
}

void TimelineView::setMeasured(std::shared_ptr<const Timeline> measured) {
  measured_ = std::move(measured);
  showSession();
}

void TimelineView::updateHeaderWidth() {
  if (state_.scene())
    state_.setHeaderWidth(laneHeaderWidth(QFontMetricsF(font()), *state_.scene()));
}

void TimelineView::showScene(ScenePointer scene) {
  jobs_.cancel(Jobs::Lane::compare);
  if (scene) state_.setHeaderWidth(laneHeaderWidth(QFontMetricsF(font()), *scene));
  marks_.clear();
  lanes_->setMarks({});
  state_.setScene(std::move(scene));
  if (critical_->isChecked()) setCriticalPathShown(true);
}

bool TimelineView::criticalPathShown() const {
  return critical_->isChecked();
}

void TimelineView::setCriticalPathShown(bool shown) {
  critical_->setChecked(shown);
  jobs_.cancel(Jobs::Lane::compare);
  if (!shown || !state_.scene()) return lanes_->setCritical(std::nullopt);
  jobs_.run<MarkedPlaces>(
      Jobs::Lane::compare,
      [scene = state_.scene()](const JobPointer&) { return criticalPlaces(*scene); },
      [this](MarkedPlaces places) { lanes_->setCritical(std::move(places)); }, [](const Error&) {});
}

void TimelineView::toggleHelp() {
  help_->toggle();
}

void TimelineView::fit() {
  if (!state_.scene()) return;
  TimeWindow& window = state_.window();
  const auto show = [&](double begin, double end) {
    const double margin = 0.05 * (end - begin);
    if (window.begin() <= begin && window.end() >= end && window.length() <= 1.2 * (end - begin))
      return window.showAll();
    window.show(begin - margin, end + margin);
  };
  if (const auto& range = state_.selection().range())
    return show(range->begin.value, range->end.value);
  if (state_.chosen())
    return show(state_.scene()->start(*state_.chosen()), state_.scene()->end(*state_.chosen()));
  window.showAll();
}

void TimelineView::goTo(const SpanPlace& place) {
  state_.setChosen(place);
  state_.window().reveal(state_.scene()->start(place), state_.scene()->end(place));
  lanes_->revealTrack(place.track);
}

void TimelineView::stepOperator(bool forth) {
  const Direction direction = forth ? Direction::forth : Direction::back;
  const auto& chosen = state_.chosen();
  const double from = chosen ? state_.scene()->start(*chosen)
                             : (forth ? -1 : state_.scene()->tracks.stepTime() + 1);
  const auto next =
      stepToMarked(*state_.scene(), lanes_->marked(), from, chosen ? chosen->track : 0, direction);
  if (next) goTo(*next);
}

void TimelineView::stepBubble(bool forth) {
  const TimelineScene& scene = *state_.scene();
  const auto& chosen = state_.chosen();
  const double from = chosen ? scene.start(*chosen) : (forth ? -1 : scene.tracks.stepTime() + 1);
  const auto next =
      stepToBubble(scene, state_.selectedRankClasses(), kBubbleShare * scene.tracks.stepTime(),
                   from, forth ? Direction::forth : Direction::back);
  if (next) goTo(*next);
}

void TimelineView::mark() {
  if (const auto& range = state_.selection().range())
    marks_.push_back(*range);
  else if (const auto& chosen = state_.chosen())
    marks_.push_back(
        {Seconds(state_.scene()->start(*chosen)), Seconds(state_.scene()->end(*chosen))});
  else
    marks_.push_back({Seconds(lanes_->pointedTime()), Seconds(lanes_->pointedTime())});
  lanes_->setMarks(marks_);
}

void TimelineView::clear() {
  state_.setChosen(std::nullopt);
  state_.selection().clear();
}

bool TimelineView::navigate(const QKeyEvent& event) {
  const int line = 3 * fontMetrics().height();
  switch (event.key()) {
    case Qt::Key_Up:
      return lanes_->setScrolled(lanes_->scrolled() - line), true;
    case Qt::Key_Down:
      return lanes_->setScrolled(lanes_->scrolled() + line), true;
    default:
      return state_.window().followKey(event.key(), lanes_->pointedTime());
  }
}

bool TimelineView::command(const QKeyEvent& event) {
  const bool shift = event.modifiers() & Qt::ShiftModifier;
  switch (event.key()) {
    case Qt::Key_F:
      return fit(), true;
    case Qt::Key_M:
      if (shift)
        marks_.clear(), lanes_->setMarks({});
      else
        mark();
      return true;
    case Qt::Key_BracketLeft:
    case Qt::Key_BracketRight:
      return stepOperator(event.key() == Qt::Key_BracketRight), true;
    case Qt::Key_B:
      return stepBubble(!shift), true;
    case Qt::Key_C:
      return setCriticalPathShown(!criticalPathShown()), true;
    case Qt::Key_L:
      return flows_->trigger(), true;
    case Qt::Key_R:
      return setRunShown(!runShown()), true;
    case Qt::Key_Escape:
      return clear(), true;
    default:
      return false;
  }
}

void TimelineView::keyPressEvent(QKeyEvent* event) {
  if (event->text() == QLatin1String("?")) return toggleHelp();
  const bool plain = !(event->modifiers() & (Qt::ControlModifier | Qt::AltModifier));
  if (!plain || !state_.scene() || !(navigate(*event) || command(*event)))
    QWidget::keyPressEvent(event);
}

void TimelineView::resizeEvent(QResizeEvent* event) {
  QWidget::resizeEvent(event);
  if (help_->isVisible()) help_->setGeometry(rect());
}

void TimelineView::changeEvent(QEvent* event) {
  if (event->type() == QEvent::FontChange) updateHeaderWidth();
  QWidget::changeEvent(event);
}

}  // namespace meshplan::gui
