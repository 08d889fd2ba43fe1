// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QObject>

namespace meshplan::gui {

/// The part of the step that timeline views show. Stays within the step, and is never narrower than
/// 10 ns.
class TimeWindow : public QObject {
  Q_OBJECT

 public:
  using QObject::QObject;

  double begin() const { return begin_; }
  double end() const { return end_; }
  double length() const { return end_ - begin_; }
  double stepTime() const { return stepTime_; }

  /// Shows all of a step.
  void reset(double stepTime);
  void show(double begin, double end);
  void showAll() { show(0, stepTime_); }
  /// factor < 1 comes closer; what is at `at` stays where it is.
  void zoom(double at, double factor);
  void pan(double seconds);
  /// Perfetto's keys: W and S come closer to `at` and go farther, A and D pan, Home and End.
  /// Whether it was one of them.
  bool followKey(int key, double at);
  /// Pans, and widens when it must, until the range is in sight.
  void reveal(double begin, double end);

 Q_SIGNALS:
  void changed();

 private:
  double begin_ = 0, end_ = 1, stepTime_ = 1;
};

}  // namespace meshplan::gui
