// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QProcess>
#include <QTemporaryDir>

#include "gui/document.h"

namespace meshplan::gui {

struct LocalRunSettings {
  int steps = 30;
  double learningRate = 1e-3;
  bool gpus = false;  // else ranks of the processor
};

/// A shown plan that trains on this machine, as `meshplan run` in a process of its own: what goes
/// wrong there ends nothing here.
class LocalRun : public QObject {
  Q_OBJECT

 public:
  explicit LocalRun(QObject* parent = nullptr);
  ~LocalRun() override;

  void start(const ShownPlan& plan, const LocalRunSettings& settings);
  /// Ends after the step that runs.
  void stop();
  bool running() const { return process_.state() != QProcess::NotRunning; }

 Q_SIGNALS:
  void stepped(int step, double loss, double seconds);
  /// `run`: its number in the profile store, 0 when it is not there.
  void finished(qint64 run, double predictedSeconds, double measuredSeconds);
  void failed(const QString& message);
  /// Whatever became of it, at last.
  void ended();

 private:
  void readLines();
  void finishProcess(int code);

  QTemporaryDir folder_;
  QProcess process_;
};

}  // namespace meshplan::gui
