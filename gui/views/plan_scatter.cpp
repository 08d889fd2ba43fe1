// SPDX-License-Identifier: Apache-2.0
#include "gui/views/plan_scatter.h"

#include <QEvent>
#include <QLineSeries>
#include <QScatterSeries>
#include <QValueAxis>
#include <algorithm>
#include <cmath>

#include "gui/palette.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

QPointF place(const PlanReport& r) {
  return {r.stepTime.value, static_cast<double>(r.peakMemory.value) / kGiB};
}

QScatterSeries* scatter(const QString& name, const QColor& colour,
                        QScatterSeries::MarkerShape shape, double size) {
  auto* series = new QScatterSeries;
  series->setName(name);
  series->setColor(colour);
  series->setBorderColor(colour.darker(140));
  series->setMarkerShape(shape);
  series->setMarkerSize(size);
  return series;
}

}  // namespace

PlanScatter::PlanScatter(Session& session, QWidget* parent)
    : QChartView(parent), session_(session) {
  setObjectName("PlanScatter");
  setAccessibleName(tr("Plans by step time and memory"));
  setRenderHint(QPainter::Antialiasing);
  setFrameShape(QFrame::NoFrame);
  setMinimumWidth(fontMetrics().averageCharWidth() * 52);
  chart()->legend()->setAlignment(Qt::AlignTop);
  chart()->setMargins(QMargins(4, 4, 4, 4));
  connect(&session_, &Session::foundChanged, this, &PlanScatter::rebuild);
  connect(&session_, &Session::shownChanged, this, &PlanScatter::mark);
  rebuild();
}

void PlanScatter::changeEvent(QEvent* event) {
  QChartView::changeEvent(event);
  if (event->type() == QEvent::PaletteChange && !rebuilding_) rebuild();
}

void PlanScatter::add(QScatterSeries* series, const std::vector<PlanReport>& reports) {
  for (const PlanReport& r : reports) {
    series->append(place(r));
    reports_.push_back(r);
  }
  chart()->addSeries(series);
  connect(series, &QScatterSeries::clicked, this, &PlanScatter::showNearest);
}

void PlanScatter::rebuild() {
  rebuilding_ = true;
  chart()->removeAllSeries();
  for (QAbstractAxis* axis : chart()->axes()) chart()->removeAxis(axis);
  reports_.clear();
  const SearchResult& found = session_.found();
  add(scatter(tr("plans"), spanColour(SpanKind::forward), QScatterSeries::MarkerShapeCircle, 8),
      found.plans);
  add(scatter(tr("Pareto front"), spanColour(SpanKind::recompute),
              QScatterSeries::MarkerShapeTriangle, 10),
      found.pareto);
  add(scatter(tr("baselines"), spanColour(SpanKind::collective),
              QScatterSeries::MarkerShapeRectangle, 9),
      found.baselines);
  shown_ = scatter(tr("shown"), QColor(0xd5, 0x5e, 0x00), QScatterSeries::MarkerShapeStar, 15);
  chart()->addSeries(shown_);
  auto *x = new QValueAxis, *y = new QValueAxis;
  x->setTitleText(tr("step, s"));
  y->setTitleText(tr("memory, GiB"));
  double right = 1e-6, top = 1;
  for (const PlanReport& r : reports_) {
    if (!std::isfinite(place(r).x())) continue;
    right = std::max(right, place(r).x());
    top = std::max(top, place(r).y());
  }
  if (const auto& document = session_.document()) {
    const double limit = static_cast<double>(document->context().memoryLimit.value) / kGiB;
    top = std::min(top, 2 * limit);
    auto* line = new QLineSeries;
    line->setName(tr("limit"));
    line->append(0, limit);
    line->append(1.05 * right, limit);
    line->setPen(QPen(QColor(0xd5, 0x5e, 0x00), 1.5, Qt::DashLine));
    chart()->addSeries(line);
    top = std::max(top, limit);
  }
  x->setRange(0, 1.05 * right);
  y->setRange(0, 1.1 * top);
  x->applyNiceNumbers();
  y->applyNiceNumbers();
  x->setTickCount(std::min(x->tickCount(), 6));
  x->setLabelFormat("%g");
  y->setLabelFormat("%g");
  chart()->addAxis(x, Qt::AlignBottom);
  chart()->addAxis(y, Qt::AlignLeft);
  const QColor ink = palette().color(QPalette::WindowText);
  QColor grid = ink;
  grid.setAlpha(40);
  for (QAbstractAxis* axis : chart()->axes()) {
    axis->setLabelsColor(ink);
    axis->setTitleBrush(ink);
    axis->setGridLineColor(grid);
    axis->setLinePenColor(ink);
  }
  for (QAbstractSeries* series : chart()->series()) {
    series->attachAxis(x);
    series->attachAxis(y);
  }
  chart()->setBackgroundBrush(palette().color(QPalette::Base));
  setBackgroundBrush(palette().color(QPalette::Base));
  chart()->legend()->setLabelColor(ink);
  rebuilding_ = false;
  mark();
}

void PlanScatter::mark() {
  shown_->clear();
  if (session_.shown()) shown_->append(place(session_.shown()->report));
}

void PlanScatter::showNearest(const QPointF& value) {
  const auto apart = [&](const PlanReport& r) {
    const QPointF d = place(r) - value;
    return d.x() * d.x() + d.y() * d.y();
  };
  const auto nearest = std::min_element(
      reports_.begin(), reports_.end(),
      [&](const PlanReport& a, const PlanReport& b) { return apart(a) < apart(b); });
  if (nearest != reports_.end()) session_.show(*nearest, tr("Show a plan"));
}

}  // namespace meshplan::gui
