// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QChartView>
#include <QScatterSeries>
#include <QValueAxis>

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
  void resizeEvent(QResizeEvent* event) override;

 private:
  void rebuild();
  void mark();
  void add(QScatterSeries* series, const std::vector<PlanReport>& reports);
  const PlanReport* nearest(const QPointF& value) const;
  void showNearest(const QPointF& value);
  void tell(const QPointF& value, bool over);
  void addPrices(const QValueAxis& steps);

  Session& session_;
  std::vector<PlanReport> reports_;
  QValueAxis* prices_ = nullptr;
  QScatterSeries* shown_ = nullptr;
  bool rebuilding_ = false;
};

}  // namespace meshplan::gui
