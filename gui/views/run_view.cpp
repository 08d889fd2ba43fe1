// SPDX-License-Identifier: Apache-2.0
#include "gui/views/run_view.h"

#include <QEvent>
#include <QGridLayout>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include "gui/palette.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

constexpr int kMostSteps = 100000;

}  // namespace

RunView::RunView(Session& session, Selection&, QWidget* parent)
    : QWidget(parent),
      session_(session),
      backend_(new QComboBox(this)),
      steps_(new QSpinBox(this)),
      start_(new QPushButton(tr("Run"), this)),
      stop_(new QPushButton(tr("Stop"), this)),
      state_(new QLabel(this)),
      chart_(new QChart),
      loss_(new QLineSeries(this)),
      stepAxis_(new QValueAxis(this)),
      lossAxis_(new QValueAxis(this)) {
  setObjectName("RunView");
  setAccessibleName(tr("Run"));
  backend_->addItems({tr("processor"), tr("NVIDIA GPUs")});
  backend_->setAccessibleName(tr("What it runs on"));
  steps_->setRange(1, kMostSteps);
  steps_->setValue(30);
  steps_->setSuffix(tr(" steps"));
  steps_->setAccessibleName(tr("Steps"));
  start_->setObjectName("startRun");
  stop_->setObjectName("stopRun");
  state_->setObjectName("runState");
  state_->setWordWrap(true);
  state_->setTextInteractionFlags(Qt::TextSelectableByMouse);
  loss_->setColor(QColor(0xd5, 0x5e, 0x00));
  chart_->addSeries(loss_);
  chart_->addAxis(stepAxis_, Qt::AlignBottom);
  chart_->addAxis(lossAxis_, Qt::AlignLeft);
  loss_->attachAxis(stepAxis_);
  loss_->attachAxis(lossAxis_);
  stepAxis_->setTitleText(tr("step"));
  stepAxis_->setLabelFormat("%.0f");
  lossAxis_->setTitleText(tr("loss"));
  lossAxis_->setLabelFormat("%.3g");
  lossAxis_->setTickCount(3);
  chart_->legend()->hide();
  chart_->setMargins(QMargins(2, 2, 2, 2));
  view_ = new QChartView(chart_, this);
  view_->setAccessibleName(tr("Loss by step"));
  view_->setRenderHint(QPainter::Antialiasing);
  view_->setMinimumHeight(fontMetrics().height() * 9);
  view_->hide();  // until there is a loss
  auto* bar = new QGridLayout;
  bar->addWidget(backend_, 0, 0);
  bar->addWidget(steps_, 0, 1);
  bar->addWidget(start_, 1, 0);
  bar->addWidget(stop_, 1, 1);
  auto* layout = new QVBoxLayout(this);
  layout->addLayout(bar);
  layout->addWidget(state_);
  layout->addWidget(view_, 1);
  layout->addStretch(0);
  connect(start_, &QPushButton::clicked, this, &RunView::start);
  connect(stop_, &QPushButton::clicked, &run_, &LocalRun::stop);
  connect(&run_, &LocalRun::stepped, this, &RunView::addStep);
  connect(&run_, &LocalRun::finished, this, &RunView::finish);
  connect(&run_, &LocalRun::failed, this, [this](const QString& message) {
    state_->setText(QStringLiteral("<span style='color:#d55e00'>%1</span>")
                        .arg(message.toHtmlEscaped().replace('\n', "<br>")));
    showState();
  });
  connect(&run_, &LocalRun::ended, this, &RunView::showState);
  connect(&session_, &Session::shownChanged, this, &RunView::showState);
  reserveHeight();
  dress();
  showState();
}

/// A label that wraps tells its dock no height.
void RunView::reserveHeight() {
  const int chart = view_->isHidden() ? 0 : view_->minimumHeight();
  setMinimumHeight(backend_->sizeHint().height() * 2 + fontMetrics().height() * 5 + chart);
}

void RunView::dress() {
  const QColor ink = palette().color(QPalette::WindowText);
  QColor grid = ink;
  grid.setAlpha(40);
  chart_->setBackgroundBrush(palette().color(QPalette::Base));
  for (QValueAxis* axis : {stepAxis_, lossAxis_}) {
    axis->setLabelsColor(ink);
    axis->setTitleBrush(ink);
    axis->setGridLineColor(grid);
    axis->setLinePenColor(ink);
  }
}

void RunView::changeEvent(QEvent* event) {
  QWidget::changeEvent(event);
  if (event->type() == QEvent::PaletteChange) dress();
}

void RunView::showState() {
  const auto& shown = session_.shown();
  start_->setEnabled(shown && !run_.running());
  stop_->setEnabled(run_.running());
  if (started_) return;
  state_->setText(shown ? tr("Trains the shown plan with %1 ranks on this machine.")
                              .arg(shown->report.plan.mesh.ranks())
                        : tr("Open a model first."));
}

void RunView::start() {
  if (!session_.shown()) return;
  started_ = true;
  loss_->clear();
  samples_ = static_cast<double>(session_.document()->globalBatch());
  state_->setText(tr("starting …"));
  start_->setEnabled(false);
  stop_->setEnabled(true);
  run_.start(*session_.shown(), {.steps = steps_->value(), .gpus = backend_->currentIndex() == 1});
}

void RunView::addStep(int step, double loss, double seconds) {
  if (view_->isHidden()) {
    view_->show();
    reserveHeight();
  }
  loss_->append(step, loss);
  const auto points = loss_->points();
  const auto [low, high] =
      std::minmax_element(points.begin(), points.end(),
                          [](const QPointF& a, const QPointF& b) { return a.y() < b.y(); });
  stepAxis_->setRange(points.front().x(), std::max(points.front().x() + 1.0, double(step)));
  const double room = std::max(0.05 * (high->y() - low->y()), 1e-3);
  const double floor = low->y() >= 0 ? 0 : low->y() - room;  // a loss that is never negative
  lossAxis_->setRange(std::max(floor, low->y() - room), high->y() + room);
  state_->setText(tr("step %1: loss %2, %3, %4 samples/s")
                      .arg(step)
                      .arg(loss, 0, 'f', 4)
                      .arg(text(Seconds(seconds)), text(groupedText(samples_ / seconds))));
}

void RunView::finish(qint64 run, double predicted, double measured) {
  const double error = predicted / measured - 1;
  state_->setText(tr("measured %1 a step, predicted %2: %3 too %4")
                      .arg(text(Seconds(measured)), text(Seconds(predicted)),
                           percent(std::abs(error)), error < 0 ? tr("short") : tr("long")));
  if (run > 0) session_.compareWithRun(run);
}

}  // namespace meshplan::gui
