// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QObject>
#include <memory>
#include <optional>

#include "gui/models/time_scale.h"
#include "gui/models/timeline_scene.h"
#include "gui/selection.h"
#include "gui/views/time_window.h"

namespace meshplan::gui {

/// What the widgets of one timeline share: the scene, the part of the step in sight, the span that
/// was clicked, and how wide the headers left of all time axes are.
class TimelineState : public QObject {
  Q_OBJECT

 public:
  /// `window`: shared with other timelines; null: its own.
  TimelineState(Selection& selection, QObject* parent, TimeWindow* window = nullptr);

  Selection& selection() const { return selection_; }
  TimeWindow& window() { return window_; }
  /// Null while nothing is shown.
  const std::shared_ptr<const TimelineScene>& scene() const { return scene_; }
  void setScene(std::shared_ptr<const TimelineScene> scene);
  /// Whether the scene's operators and ranks are those of the selection.
  bool ofOpenModel() const { return ofOpenModel_; }
  void setOfOpenModel(bool is) { ofOpenModel_ = is; }
  const std::optional<SpanPlace>& chosen() const { return chosen_; }
  void setChosen(std::optional<SpanPlace> place);
  double headerWidth() const { return headerWidth_; }
  void setHeaderWidth(double width) { headerWidth_ = width; }

  TimeScale scale(double widgetWidth) const;
  /// With a selected rank; empty: none is.
  std::vector<size_t> selectedRankClasses() const;
  /// Whose memory is shown: the first selected, else the one with the highest peak.
  size_t memoryRankClass() const;

 Q_SIGNALS:
  void sceneChanged();
  void chosenChanged();

 private:
  Selection& selection_;
  TimeWindow own_;
  TimeWindow& window_;
  bool ofOpenModel_ = true;
  std::shared_ptr<const TimelineScene> scene_;
  std::optional<SpanPlace> chosen_;
  double headerWidth_ = 0;
};

}  // namespace meshplan::gui
