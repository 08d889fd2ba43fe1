// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QBoxLayout>
#include <QComboBox>
#include <QFormLayout>
#include <QLabel>
#include <QSlider>
#include <QTimer>

#include "gui/jobs.h"
#include "gui/models/strategy_choices.h"
#include "gui/selection.h"
#include "gui/session.h"

namespace meshplan::gui {

/// The shown plan's choices as buttons: pressing one plans and simulates it. Buttons of what cannot
/// be are disabled with the reason as their tool tip, found out beside, as is what the others would
/// change and which of them is best: why the shown plan won. The pin of a row keeps the
/// shown value in searches. Below, the cluster: other bandwidths, another device.
class WhatIfView : public QWidget {
  Q_OBJECT

 public:
  WhatIfView(Session& session, Selection& selection, QWidget* parent = nullptr);

 private:
  void showPlan();
  void addChoice(const StrategyChoice& choice);
  void addStages();
  void addPin(QBoxLayout& row, const QString& key, const QString& name, const QString& value);
  void showLimits();
  using Effects = std::vector<std::pair<QString, OptionEffect>>;  // by the name of the button
  void checkOptions(const std::vector<StrategyChoice>& choices);
  void showEffects(const Effects& effects);
  void showResult();
  void tryScenario();
  QSlider* addBandwidth(const QString& name, QLabel*& value);

  Session& session_;
  Jobs checks_;
  std::vector<StrategyChoice> choices_;
  QWidget* choicesBox_;
  QFormLayout* choicesForm_;
  QFormLayout* clusterForm_;
  QSlider *network_, *fabric_;
  QLabel *networkText_, *fabricText_, *result_, *limits_, *why_;
  QComboBox* device_;
  QTimer settled_;
  std::shared_ptr<const ShownPlan> before_;
};

}  // namespace meshplan::gui
