// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QChart>
#include <QChartView>
#include <QComboBox>
#include <QLabel>
#include <QLineSeries>
#include <QPushButton>
#include <QSpinBox>
#include <QValueAxis>

#include "gui/local_run.h"
#include "gui/selection.h"
#include "gui/session.h"

namespace meshplan::gui {

/// Trains the shown plan on this machine: the loss while it runs, then measured beside predicted.
class RunView : public QWidget {
  Q_OBJECT

 public:
  RunView(Session& session, Selection& selection, QWidget* parent = nullptr);

 protected:
  void changeEvent(QEvent* event) override;

 private:
  void start();
  void addStep(int step, double loss, double seconds);
  void finish(qint64 run, double predicted, double measured);
  void showState();
  void reserveHeight();
  void dress();

  Session& session_;
  LocalRun run_;
  QComboBox* backend_;
  QSpinBox* steps_;
  QPushButton *start_, *stop_;
  QLabel* state_;
  QChart* chart_;
  QChartView* view_;
  QLineSeries* loss_;
  QValueAxis *stepAxis_, *lossAxis_;
  double samples_ = 0;
  bool started_ = false;  // what was said of the last run stays
};

}  // namespace meshplan::gui
