// SPDX-License-Identifier: Apache-2.0
#include "gui/views/what_if_view.h"

#include <QButtonGroup>
#include <QHBoxLayout>
#include <QPushButton>
#include <QVBoxLayout>
#include <cmath>

#include "gui/text.h"
#include "gui/views/choice_button.h"
#include "gui/views/pin_button.h"
#include "planner/search/stages.h"
#include "profiles/load_cluster.h"

namespace meshplan::gui {
namespace {

constexpr int kSteps = 8;      // of a bandwidth slider to each side
constexpr double kFactor = 4;  // at its ends
constexpr int kSettleMs = 100;

double factorOf(int position) {
  return std::pow(kFactor, static_cast<double>(position) / kSteps);
}
int positionOf(double factor) {
  return static_cast<int>(std::lround(std::log(factor) / std::log(kFactor) * kSteps));
}

}  // namespace

WhatIfView::WhatIfView(Session& session, Selection&, QWidget* parent)
    : QWidget(parent),
      session_(session),
      choicesBox_(new QWidget(this)),
      choicesForm_(new QFormLayout(choicesBox_)),
      clusterForm_(new QFormLayout),
      result_(new QLabel(this)),
      limits_(new QLabel(this)),
      why_(new QLabel(this)),
      device_(new QComboBox(this)) {
  setObjectName("WhatIfView");
  setAccessibleName(tr("What if"));
  choicesForm_->setContentsMargins(0, 0, 0, 0);
  choicesForm_->setVerticalSpacing(4);
  network_ = addBandwidth(tr("network"), networkText_);
  fabric_ = addBandwidth(tr("in a node"), fabricText_);
  device_->setObjectName("device");
  device_->setAccessibleName(tr("Device"));
  device_->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
  device_->setMinimumContentsLength(16);
  device_->addItem(tr("as opened"), QString());
  for (const std::string& name : catalogDeviceNames()) device_->addItem(text(name), text(name));
  clusterForm_->addRow(tr("device"), device_);
  result_->setWordWrap(true);
  result_->setObjectName("whatIfResult");
  result_->setTextInteractionFlags(Qt::TextSelectableByMouse);
  auto* pin = new QPushButton(tr("Pin to compare"), this);
  pin->setObjectName("pin");
  connect(pin, &QPushButton::clicked, &session_, &Session::pin);
  auto* layout = new QVBoxLayout(this);
  limits_->setWordWrap(true);
  limits_->setObjectName("searchLimits");
  connect(limits_, &QLabel::linkActivated, this, [this](const QString& link) {
    if (link == "search") return session_.startSearch();
    for (const auto& [key, value] : std::map(session_.constraints())) session_.constrain(key, {});
  });
  why_->setWordWrap(true);
  why_->setObjectName("whyShown");
  layout->addWidget(choicesBox_);
  layout->addWidget(why_);
  layout->addWidget(limits_);
  layout->addSpacing(6);
  layout->addLayout(clusterForm_);
  layout->addSpacing(6);
  layout->addWidget(result_);
  layout->addWidget(pin);
  layout->addStretch(1);
  settled_.setSingleShot(true);
  settled_.setInterval(kSettleMs);
  connect(&settled_, &QTimer::timeout, this, &WhatIfView::tryScenario);
  connect(device_, &QComboBox::activated, &settled_, qOverload<>(&QTimer::start));
  connect(&session_, &Session::shownChanged, this, &WhatIfView::showPlan);
  connect(&session_, &Session::constraintsChanged, this, &WhatIfView::showLimits);
  showPlan();
}

QSlider* WhatIfView::addBandwidth(const QString& name, QLabel*& value) {
  auto* slider = new QSlider(Qt::Horizontal, this);
  slider->setRange(-kSteps, kSteps);
  slider->setTickPosition(QSlider::TicksBelow);
  slider->setTickInterval(kSteps / 2);
  slider->setAccessibleName(tr("Bandwidth, %1").arg(name));
  value = new QLabel(this);
  value->setMinimumWidth(fontMetrics().horizontalAdvance("× 0.25 "));
  auto* row = new QHBoxLayout;
  row->addWidget(slider, 1);
  row->addWidget(value);
  clusterForm_->addRow(name, row);
  connect(slider, &QSlider::valueChanged, this, [this, value](int position) {
    value->setText(QStringLiteral("× %1").arg(factorOf(position), 0, 'g', 3));
    settled_.start();
  });
  value->setText(QStringLiteral("× 1"));
  return slider;
}

void WhatIfView::showPlan() {
  const auto& shown = session_.shown();
  setEnabled(shown != nullptr);
  showResult();
  before_ = shown;
  while (choicesForm_->rowCount() > 0) choicesForm_->removeRow(0);
  checks_.cancel(Jobs::Lane::simulate);
  why_->clear();
  if (!shown) return;
  const Scenario& scenario = shown->document->scenario();
  for (const auto& [slider, factor] :
       {std::pair(network_, scenario.network), std::pair(fabric_, scenario.fabric)}) {
    const QSignalBlocker quiet(slider);
    slider->setValue(positionOf(factor));
  }
  networkText_->setText(QStringLiteral("× %1").arg(scenario.network, 0, 'g', 3));
  fabricText_->setText(QStringLiteral("× %1").arg(scenario.fabric, 0, 'g', 3));
  device_->setCurrentIndex(std::max(0, device_->findData(text(scenario.device))));
  choices_ = strategyChoices(*shown);
  for (const StrategyChoice& choice : choices_) addChoice(choice);
  addStages();
  showLimits();
  checkOptions(choices_);
}

void WhatIfView::addChoice(const StrategyChoice& choice) {
  auto* row = new QWidget(choicesBox_);
  auto* layout = new QHBoxLayout(row);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(1);
  auto* group = new QButtonGroup(row);
  for (const StrategyOption& option : choice.options) {
    auto* button = new ChoiceButton(option.value, row);
    button->setObjectName(choice.key + "=" + option.value);
    button->setAccessibleName(choice.name + " " + option.value);
    button->setToolTip(option.strategy);
    button->setChecked(option.shown);
    group->addButton(button);
    layout->addWidget(button);
    connect(button, &QToolButton::clicked, this, [this, option, key = choice.key] {
      if (!option.shown)
        session_.tryStrategy(option.strategy, tr("%1 = %2").arg(key, option.value));
    });
  }
  layout->addStretch(1);
  for (const StrategyOption& option : choice.options)
    if (option.shown) addPin(*layout, choice.key, choice.name, option.value);
  choicesForm_->addRow(choice.name, row);
}

void WhatIfView::addPin(QBoxLayout& row, const QString& key, const QString& name,
                        const QString& value) {
  auto* pin = new PinButton(tr("Keep %1 %2 in searches").arg(name, value), row.parentWidget());
  pin->setObjectName("pin:" + key);
  row.addWidget(pin);
  connect(pin, &QToolButton::clicked, this,
          [this, key, value](bool in) { session_.constrain(key, in ? value : QString()); });
}

/// Only where layers were moved: the way back to the planner's stages.
void WhatIfView::addStages() {
  const ShownPlan& shown = *session_.shown();
  if (!shown.cutByHand) return;
  auto* row = new QWidget(choicesBox_);
  auto* layout = new QHBoxLayout(row);
  layout->setContentsMargins(0, 0, 0, 0);
  auto* back = new QPushButton(tr("as the planner cuts them"), row);
  back->setObjectName("plannedStages");
  connect(back, &QPushButton::clicked, this, [this] {
    session_.tryStrategy(text(shortStrategy(session_.shown()->report)), tr("Stages as planned"));
  });
  layout->addWidget(back);
  layout->addStretch(1);
  addPin(*layout, "stages", tr("stages"), text(stagesText(shown.report.plan)).section('=', 1));
  choicesForm_->addRow(tr("stages"), row);
}

/// Pins that are in, and what searches keep to.
void WhatIfView::showLimits() {
  const std::map<QString, QString>& kept = session_.constraints();
  for (PinButton* pin : choicesBox_->findChildren<PinButton*>()) {
    const auto found = kept.find(pin->objectName().section(':', 1));
    pin->setChecked(found != kept.end());
    pin->setToolTip(found == kept.end()
                        ? pin->accessibleName()
                        : tr("Searches keep %1 = %2").arg(found->first, found->second));
  }
  limits_->setVisible(!kept.empty());
  limits_->setText(tr("Searches keep <b>%1</b>. <a href='search'>Search</a> · <a href='drop'>Drop "
                      "all</a>")
                       .arg(session_.constraintsText().replace(",", ", ")));
}

/// Each in turn, so that a newer plan's checks wait for one effect only.
void WhatIfView::checkOptions(const std::vector<StrategyChoice>& choices) {
  checks_.run<Effects>(
      Jobs::Lane::simulate,
      [choices, document = session_.shown()->document](const JobPointer& job) {
        Effects effects;
        for (const StrategyChoice& choice : choices)
          for (const StrategyOption& option : choice.options) {
            if (job->cancelled()) return effects;
            if (option.shown) continue;
            effects.emplace_back(choice.key + "=" + option.value,
                                 effectOf(*document, option.strategy));
          }
        return effects;
      },
      [this](const Effects& effects) { showEffects(effects); }, [](const Error&) {});
}

void WhatIfView::showEffects(const Effects& effects) {
  const Seconds now = session_.shown()->report.stepTime;
  const Bytes peak = session_.shown()->report.peakMemory;
  const std::pair<QString, OptionEffect>* best = nullptr;
  for (const auto& effect : effects) {
    const OptionEffect& does = effect.second;
    const bool changes = does.stepTime != now || does.peakMemory != peak;
    if (does.possible() && does.doesNotFit.isEmpty() && changes &&
        (!best || does.stepTime < best->second.stepTime))
      best = &effect;
    auto* button = choicesBox_->findChild<ChoiceButton*>(effect.first);
    if (!button) continue;
    button->setEnabled(does.possible());
    button->setDoubtful(does.possible() && !does.doesNotFit.isEmpty());
    QString tip = does.refusal;
    if (does.possible())
      tip = tr("%1: %2 a step (%3), peak %4")
                .arg(effect.first, text(does.stepTime), changeText(does.stepTime.value, now.value),
                     text(does.peakMemory));
    if (!does.doesNotFit.isEmpty()) tip += "\n" + does.doesNotFit;
    button->setToolTip(tip);
  }
  if (!best) return why_->setText(tr("No other single choice fits."));
  const QString change = changeText(best->second.stepTime.value, now.value);
  why_->setText(best->second.stepTime < now
                    ? tr("Faster by one choice: <b>%1</b> (%2).").arg(best->first, change)
                    : tr("No single other choice is faster; the nearest is <b>%1</b> (%2).")
                          .arg(best->first, change));
}

void WhatIfView::showResult() {
  const auto& shown = session_.shown();
  if (!shown) return result_->setText(tr("Open a model to try other choices."));
  const PlanReport& r = shown->report;
  QString change, memory;
  if (before_ && before_ != shown) {
    change =
        QStringLiteral(" (%1)").arg(changeText(r.stepTime.value, before_->report.stepTime.value));
    memory = QStringLiteral(" (%1)").arg(
        changeText(static_cast<double>(r.peakMemory.value),
                   static_cast<double>(before_->report.peakMemory.value)));
  }
  QString line =
      tr("<b>%1</b>%2 a step, peak %3%4").arg(text(r.stepTime), change, text(r.peakMemory), memory);
  line += tr("<br>MFU %1").arg(percent(r.mfu));
  if (r.dollarsPerStep > 0) line += tr(", %1 a step").arg(dollarsText(r.dollarsPerStep));
  if (!r.feasible)
    line += QStringLiteral("<br><b style='color:#d55e00'>%1</b>").arg(text(r.rejection.text));
  result_->setText(line);
}

void WhatIfView::tryScenario() {
  Scenario scenario;
  scenario.network = factorOf(network_->value());
  scenario.fabric = factorOf(fabric_->value());
  scenario.device = device_->currentData().toString().toStdString();
  if (session_.shown() && session_.shown()->document->scenario() == scenario) return;
  session_.tryScenario(scenario);
}

}  // namespace meshplan::gui
