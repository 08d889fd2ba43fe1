// SPDX-License-Identifier: Apache-2.0
#include "gui/views/plan_scatter.h"

#include <QCursor>
#include <QEvent>
#include <QLineSeries>
#include <QScatterSeries>
#include <QToolTip>
#include <QValueAxis>
#include <algorithm>
#include <cmath>

#include "app/planning.h"
#include "gui/palette.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

constexpr double kWorthALimit = 0.1;  // share of it that a plan uses
constexpr int kLeastForPrices = 18;   // lines of text

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
  chart()->legend()->setMarkerShape(QLegend::MarkerShapeFromSeries);
  chart()->setMargins(QMargins(4, 4, 4, 4));
  connect(&session_, &Session::foundChanged, this, &PlanScatter::rebuild);
  connect(&session_, &Session::shownChanged, this, &PlanScatter::mark);
  rebuild();
}

void PlanScatter::changeEvent(QEvent* event) {
  QChartView::changeEvent(event);
  if (event->type() == QEvent::PaletteChange && !rebuilding_) rebuild();
}

void PlanScatter::resizeEvent(QResizeEvent* event) {
  QChartView::resizeEvent(event);
  if (prices_) prices_->setVisible(height() > kLeastForPrices * fontMetrics().height());
}

void PlanScatter::add(QScatterSeries* series, const std::vector<PlanReport>& reports) {
  for (const PlanReport& r : reports) {
    series->append(place(r));
    reports_.push_back(r);
  }
  chart()->addSeries(series);
  connect(series, &QScatterSeries::clicked, this, &PlanScatter::showNearest);
  connect(series, &QScatterSeries::hovered, this, &PlanScatter::tell);
}

void PlanScatter::rebuild() {
  rebuilding_ = true;
  chart()->removeAllSeries();
  prices_ = nullptr;
  for (QAbstractAxis* axis : chart()->axes()) {
    chart()->removeAxis(axis);
    delete axis;
  }
  reports_.clear();
  const SearchResult& found = session_.found();
  add(scatter(tr("plans"), spanColour(SpanKind::forward), QScatterSeries::MarkerShapeCircle, 8),
      found.plans);
  add(scatter(tr("Pareto"), spanColour(SpanKind::recompute), QScatterSeries::MarkerShapeTriangle,
              10),
      found.pareto);
  add(scatter(tr("baselines"), spanColour(SpanKind::collective),
              QScatterSeries::MarkerShapeRectangle, 9),
      found.baselines);
  shown_ = scatter(tr("shown"), QColor(0xd5, 0x5e, 0x00), QScatterSeries::MarkerShapeStar, 15);
  chart()->addSeries(shown_);
  auto *x = new QValueAxis, *y = new QValueAxis;
  x->setTitleText(tr("step, s"));
  y->setTitleText(tr("memory, GiB"));
  double right = 1e-6, top = 1e-3;
  const auto include = [&](const PlanReport& r) {
    if (!std::isfinite(place(r).x())) return;
    right = std::max(right, place(r).x());
    top = std::max(top, place(r).y());
  };
  std::for_each(reports_.begin(), reports_.end(), include);
  if (reports_.empty() && session_.shown()) include(session_.shown()->report);
  if (const auto& document = session_.document()) {
    const double limit = static_cast<double>(document->context().memoryLimit.value) / kGiB;
    const bool far = top < kWorthALimit * limit;
    if (far) y->setTitleText(tr("memory, GiB (limit %1)").arg(limit, 0, 'g', 3));
    top = std::min(top, 2 * limit);
    auto* line = new QLineSeries;
    line->setName(tr("limit"));
    line->append(0, limit);
    line->append(2 * right, limit);  // beyond the axis
    line->setPen(QPen(QColor(0xd5, 0x5e, 0x00), 1.5, Qt::DashLine));
    chart()->addSeries(line);
    if (!far) top = std::max(top, limit);
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
  addPrices(*x);
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
  mark();
  rebuilding_ = false;
}

/// On one cluster the price of a step follows from its time: a second scale above.
void PlanScatter::addPrices(const QValueAxis& steps) {
  if (reports_.empty() || reports_.front().dollarsPerStep <= 0) return;
  const PlanReport& any = reports_.front();
  prices_ = new QValueAxis;
  prices_->setTitleText(tr("price of a step, $"));
  prices_->setLabelFormat("%.2g");
  prices_->setRange(0, steps.max() * any.dollarsPerStep / any.stepTime.value);
  prices_->setTickCount(steps.tickCount());
  prices_->setGridLineVisible(false);
  prices_->setVisible(height() > kLeastForPrices * fontMetrics().height());
  chart()->addAxis(prices_, Qt::AlignTop);
}

void PlanScatter::mark() {
  if (reports_.empty() && !rebuilding_) return rebuild();
  shown_->clear();
  if (session_.shown()) shown_->append(place(session_.shown()->report));
}

const PlanReport* PlanScatter::nearest(const QPointF& value) const {
  const auto apart = [&](const PlanReport& r) {
    const QPointF d = place(r) - value;
    return d.x() * d.x() + d.y() * d.y();
  };
  const auto found = std::min_element(
      reports_.begin(), reports_.end(),
      [&](const PlanReport& a, const PlanReport& b) { return apart(a) < apart(b); });
  return found == reports_.end() ? nullptr : &*found;
}

void PlanScatter::showNearest(const QPointF& value) {
  if (const PlanReport* report = nearest(value)) session_.show(*report, tr("Show a plan"));
}

void PlanScatter::tell(const QPointF& value, bool over) {
  const PlanReport* r = over ? nearest(value) : nullptr;
  if (!r) return QToolTip::hideText();
  QString tip = QStringLiteral("<b>%1</b><br>").arg(text(shortStrategy(*r)));
  if (!r->label.empty()) tip += text(r->label) + ": ";
  tip += tr("%1 a step, %2, MFU %3").arg(text(r->stepTime), text(r->peakMemory), percent(r->mfu));
  if (r->dollarsPerStep > 0) tip += tr(", %1 a step").arg(dollarsText(r->dollarsPerStep));
  QToolTip::showText(QCursor::pos(), tip, this);
}

}  // namespace meshplan::gui
