// SPDX-License-Identifier: Apache-2.0
#include "gui/views/timeline_state.h"

#include <algorithm>

namespace meshplan::gui {

TimelineState::TimelineState(Selection& selection, QObject* parent, TimeWindow* window)
    : QObject(parent), selection_(selection), window_(window ? *window : own_) {}

void TimelineState::setScene(std::shared_ptr<const TimelineScene> scene) {
  const bool sameStep = scene && scene_ && scene->tracks.stepTime() == window_.stepTime();
  scene_ = std::move(scene);
  chosen_.reset();
  if (scene_ && !sameStep) window_.reset(scene_->tracks.stepTime());
  Q_EMIT sceneChanged();
  Q_EMIT chosenChanged();
}

void TimelineState::setChosen(std::optional<SpanPlace> place) {
  if (chosen_ == place) return;
  chosen_ = place;
  Q_EMIT chosenChanged();
}

TimeScale TimelineState::scale(double widgetWidth) const {
  return {window_.begin(), window_.end(), headerWidth_, std::max(1.0, widgetWidth - headerWidth_)};
}

std::vector<size_t> TimelineState::selectedRankClasses() const {
  std::vector<size_t> out;
  if (!scene_ || !ofOpenModel_) return out;
  for (size_t c = 0; c < scene_->ranks.size(); ++c)
    if (std::any_of(scene_->ranks[c].begin(), scene_->ranks[c].end(),
                    [&](int64_t r) { return selection_.containsRank(r); }))
      out.push_back(c);
  return out;
}

size_t TimelineState::memoryRankClass() const {
  const std::vector<size_t> selected = selectedRankClasses();
  if (!selected.empty()) return selected.front();
  return scene_ ? scene_->timeline->peakRankClass() : 0;
}

}  // namespace meshplan::gui
