// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QWidget>
#include <array>
#include <memory>

#include "gui/jobs.h"
#include "gui/models/step_lag.h"
#include "gui/views/timeline_lanes.h"

class QComboBox;
class QLabel;

namespace meshplan::gui {

/// The lane between two timelines: why one is behind (paintLag).
class DifferenceLane : public QWidget {
  Q_OBJECT

 public:
  DifferenceLane(TimelineState& state, QWidget* parent);

  void show(std::shared_ptr<const StepLag> lag);
  QSize sizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;

 private:
  QRectF plot() const;

  TimelineState& state_;
  std::shared_ptr<const StepLag> lag_;
};

/// One stage of each of two steps, one above the other on one time axis, with the difference lane
/// between. Keys and mouse are those of the timeline. Made beside where they are long.
class StepLanesView : public QWidget {
  Q_OBJECT

 public:
  StepLanesView(Selection& selection, QWidget* parent = nullptr);
  ~StepLanesView() override;

  /// The slowest stage of each. `ofOpenModel`: their operators are the selection's. Steps of
  /// nothing: empty.
  void show(ComparedStep first, ComparedStep second, bool ofOpenModel);
  TimelineState& state(size_t which) { return *states_[which]; }
  TimelineLanes& lanes(size_t which) { return *lanes_[which]; }
  const StepLag* lag() const { return lag_.get(); }
  bool settled() const { return !jobs_.busy(); }
  void fit();

 Q_SIGNALS:
  void drawn();

 protected:
  void keyPressEvent(QKeyEvent* event) override;

 private:
  struct Made;

  void layOut();
  QWidget* header(size_t which, const QString& name);
  void fillStages();
  void stageChosen(size_t which);
  void refresh();
  void take(const Made& made);
  void tell(size_t which);

  Selection& selection_;
  Jobs jobs_;
  TimeWindow window_;
  std::array<ComparedStep, 2> steps_;
  bool ofOpenModel_ = false, sameProgram_ = false;
  std::array<std::unique_ptr<TimelineState>, 2> states_;
  std::array<TimelineLanes*, 2> lanes_{};
  std::array<QComboBox*, 2> stages_{};
  std::array<QLabel*, 2> names_{};
  DifferenceLane* difference_ = nullptr;
  QLabel* told_ = nullptr;
  std::shared_ptr<const StepLag> lag_;
};

}  // namespace meshplan::gui
