// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QWidget>
#include <memory>
#include <vector>

#include "gui/session.h"
#include "gui/views/timeline_help.h"
#include "gui/views/timeline_lanes.h"
#include "gui/views/timeline_state.h"

class QAction;
class QLabel;
class QScrollBar;
class QToolBar;

namespace meshplan::gui {

/// What happens when in a step of the shown plan: minimap, time axis, tracks and memory, with
/// Perfetto's keys (TimelineHelp lists them). A measured timeline of the same program is shown in
/// lanes below the predicted ones.
class TimelineView : public QWidget {
  Q_OBJECT

 public:
  TimelineView(Session& session, Selection& selection, QWidget* parent = nullptr);
  ~TimelineView() override;

  /// Null: none. Forgotten when another plan is shown.
  void setMeasured(std::shared_ptr<const Timeline> measured);
  /// Shows a scene that belongs to no session.
  void showScene(std::shared_ptr<const TimelineScene> scene);

  TimelineState& state() { return state_; }
  TimelineLanes& lanes() { return *lanes_; }
  bool criticalPathShown() const;
  /// Whether the session's last run is shown, measured below predicted, instead of the plan.
  bool runShown() const;
  const std::vector<TimeRange>& marks() const { return marks_; }

 public Q_SLOTS:
  void fit();
  void setCriticalPathShown(bool shown);
  void setRunShown(bool shown);
  void toggleHelp();

 Q_SIGNALS:
  /// Null: the plan's own.
  void runShownChanged(std::shared_ptr<const meshplan::Comparison> run);

 protected:
  void keyPressEvent(QKeyEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  void changeEvent(QEvent* event) override;

 private:
  void makeActions();
  void layOut();
  void tellChosen();
  void showPlan();
  void showSession();
  void updateHeaderWidth();
  bool navigate(const QKeyEvent& event);
  bool command(const QKeyEvent& event);
  void stepOperator(bool forth);
  void stepBubble(bool forth);
  void goTo(const SpanPlace& place);
  void mark();
  void clear();

  Session& session_;
  TimelineState state_;
  Jobs jobs_;  // tracks of long timelines (load), critical paths (compare)
  std::shared_ptr<const ShownPlan> shown_;
  std::shared_ptr<const Timeline> measured_;
  std::vector<TimeRange> marks_;
  QToolBar* bar_;
  QAction *critical_, *flows_, *run_;
  TimelineLanes* lanes_;
  QScrollBar* scroll_;
  QLabel* told_;  // what was clicked or stepped to
  TimelineHelp* help_;
};

}  // namespace meshplan::gui
