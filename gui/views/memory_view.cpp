// SPDX-License-Identifier: Apache-2.0
#include "gui/views/memory_view.h"

#include <QHelpEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>

#include "gui/palette.h"
#include "gui/text.h"

namespace meshplan::gui {
namespace {

constexpr double kMargin = 6;
constexpr double kWorthALimit = 0.1;  // share of it that is used

}  // namespace

MemoryView::MemoryView(Session& session, Selection&, QWidget* parent)
    : QWidget(parent), session_(session) {
  setObjectName("MemoryView");
  setAccessibleName(tr("Memory of each stage"));
  connect(&session_, &Session::shownChanged, this, [this] {
    updateGeometry();
    update();
  });
  QSizePolicy policy(QSizePolicy::Expanding, QSizePolicy::Minimum);
  policy.setHeightForWidth(true);
  setSizePolicy(policy);
}

int MemoryView::stages() const {
  return session_.shown() ? static_cast<int>(session_.shown()->simulated.program.rankClasses.size())
                          : 0;
}

double MemoryView::rowHeight() const {
  return stages() > 16 ? 10 : fontMetrics().height() + 6;
}

double MemoryView::left() const {
  return fontMetrics().horizontalAdvance(tr("stage %1").arg(99)) + 10;
}

QSize MemoryView::sizeHint() const {
  return {420, heightForWidth(420)};
}

int MemoryView::heightForWidth(int width) const {
  QPixmap nothing(1, 1);
  QPainter painter(&nothing);
  painter.setFont(font());
  const double legend = paintLegend(painter, width, true);
  const double rows = std::max(1, stages()) * rowHeight();
  return static_cast<int>(rows + legend + 2 * kMargin + fontMetrics().height());
}

Bytes MemoryView::largestPeak() const {
  Bytes most(1);
  for (const RankClassSummary& c : session_.shown()->simulated.timeline.rankClasses)
    most = std::max(most, c.peak);
  return most;
}

/// Where next to nothing of the memory is used, the limit is far outside.
bool MemoryView::showsLimit() const {
  return largestPeak() / session_.shown()->document->context().memoryLimit > kWorthALimit;
}

double MemoryView::scale() const {
  Bytes most = largestPeak();
  if (showsLimit()) most = std::max(most, session_.shown()->document->context().memoryLimit);
  const double text = fontMetrics().horizontalAdvance("000.0 GiB") + 2 * kMargin;
  return (width() - left() - text) / static_cast<double>(most.value);
}

void MemoryView::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  paint(painter);
}

void MemoryView::paint(QPainter& painter) {
  painter.setPen(palette().color(QPalette::PlaceholderText));
  if (!session_.shown()) {
    painter.drawText(rect(), Qt::AlignCenter, tr("Memory by category, once a model is open."));
    return;
  }
  for (int s = 0; s < stages(); ++s) paintStage(painter, s);
  const Bytes limit = session_.shown()->document->context().memoryLimit;
  const double x = left() + static_cast<double>(limit.value) * scale();
  const double bottom = kMargin + stages() * rowHeight();
  painter.setPen(QPen(QColor(0xd5, 0x5e, 0x00), 1.5, Qt::DashLine));
  if (showsLimit()) painter.drawLine(QPointF(x, kMargin), QPointF(x, bottom));
  painter.drawText(
      QRectF(0, bottom, showsLimit() ? x - 2 : width() - kMargin, fontMetrics().height()),
      Qt::AlignRight,
      showsLimit() ? tr("limit %1").arg(text(limit))
                   : tr("limit %1, far to the right").arg(text(limit)));
  painter.translate(0, bottom + fontMetrics().height() + 2);
  paintLegend(painter, width(), false);
}

double MemoryView::paintLegend(QPainter& painter, double width, bool measureOnly) const {
  const QFontMetrics metrics = fontMetrics();
  double x = kMargin, y = 0;
  const double box = metrics.ascent() * 0.8, line = metrics.height() + 2;
  for (int i = 0; i < kMemoryCategories; ++i) {
    const QString name = term(memoryCategoryName(MemoryCategory(i)));
    const double wide = box + 4 + metrics.horizontalAdvance(name) + 12;
    if (x + wide > std::max(width, 200.0)) x = kMargin, y += line;
    if (!measureOnly) {
      painter.fillRect(QRectF(x, y + (line - box) / 2, box, box), memoryColour(MemoryCategory(i)));
      painter.setPen(palette().color(QPalette::WindowText));
      painter.drawText(QRectF(x + box + 4, y, wide, line), Qt::AlignVCenter, name);
    }
    x += wide;
  }
  return y + line;
}

void MemoryView::paintStage(QPainter& painter, int stage) const {
  const RankClassSummary& c =
      session_.shown()->simulated.timeline.rankClasses[static_cast<size_t>(stage)];
  const double y = kMargin + stage * rowHeight();
  double x = left();
  for (int i = 0; i < kMemoryCategories; ++i) {
    const double wide = static_cast<double>(c.peakByCategory[size_t(i)].value) * scale();
    painter.fillRect(QRectF(x, y + 1, wide, rowHeight() - 2), memoryColour(MemoryCategory(i)));
    x += wide;
  }
  if (rowHeight() < fontMetrics().height() && stage % 4 != 0) return;
  painter.setPen(palette().color(QPalette::WindowText));
  const double high = std::max<double>(rowHeight(), fontMetrics().height());
  painter.drawText(QRectF(0, y, left() - 6, high), Qt::AlignRight | Qt::AlignVCenter,
                   tr("stage %1").arg(stage));
  painter.drawText(QRectF(0, y, width() - kMargin, high), Qt::AlignRight | Qt::AlignVCenter,
                   text(c.peak));
}

QString MemoryView::toolTip(int stage) const {
  const RankClassSummary& c =
      session_.shown()->simulated.timeline.rankClasses[static_cast<size_t>(stage)];
  QString tip = tr("<b>stage %1</b>, peak %2 at %3").arg(stage).arg(text(c.peak), text(c.peakTime));
  for (int i = 0; i < kMemoryCategories; ++i)
    if (const Bytes b = c.peakByCategory[size_t(i)]; b.value > 0)
      tip += QStringLiteral("<br>%1 %2").arg(term(memoryCategoryName(MemoryCategory(i))), text(b));
  return tip;
}

bool MemoryView::event(QEvent* event) {
  if (event->type() != QEvent::ToolTip) return QWidget::event(event);
  auto* help = static_cast<QHelpEvent*>(event);
  const int stage = static_cast<int>((help->pos().y() - kMargin) / rowHeight());
  if (stage >= 0 && stage < stages()) QToolTip::showText(help->globalPos(), toolTip(stage), this);
  return true;
}

}  // namespace meshplan::gui
