// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QChartView>
#include <QScatterSeries>

#include "gui/session.h"

namespace meshplan::gui {

/// Step time against peak memory of everything a search found, with the memory limit as a line. A
/// click shows the plan.
class PlanScatter : public QChartView {
  Q_OBJECT

 public:
  PlanScatter(Session& session, QWidget* parent = nullptr);

  QSize sizeHint() const override { return {360, 260}; }

 protected:
  void changeEvent(QEvent* event) override;

 private:
  void rebuild();
  void mark();
  void add(QScatterSeries* series, const std::vector<PlanReport>& reports);
  void showNearest(const QPointF& value);

  Session& session_;
  std::vector<PlanReport> reports_;
  QScatterSeries* shown_ = nullptr;
  bool rebuilding_ = false;
};

}  // namespace meshplan::gui
