// SPDX-License-Identifier: Apache-2.0
#include "gui/views/pin_button.h"

#include <QPainter>
#include <QPainterPath>

namespace meshplan::gui {
namespace {

/// Head, neck, collar and needle, in a square of side 1.
QPainterPath pinShape() {
  QPainterPath pin;
  pin.addRect(0.3, 0.06, 0.4, 0.12);
  pin.addRect(0.36, 0.18, 0.28, 0.28);
  pin.addRoundedRect(QRectF(0.2, 0.46, 0.6, 0.14), 0.06, 0.06);
  pin.addRect(0.46, 0.6, 0.08, 0.34);
  return pin.simplified();
}

}  // namespace

PinButton::PinButton(const QString& name, QWidget* parent) : QToolButton(parent) {
  setCheckable(true);
  setFocusPolicy(Qt::TabFocus);
  setAccessibleName(name);
}

QSize PinButton::sizeHint() const {
  const int side = fontMetrics().height() + 6;
  return {side, side};
}

void PinButton::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  const QPalette& p = palette();
  const QRectF place = QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5);
  if (hasFocus() || underMouse()) {
    painter.setPen(hasFocus() ? p.color(QPalette::Highlight) : p.color(QPalette::Mid));
    painter.drawRoundedRect(place, 3, 3);
  }
  const double side = std::min(place.width(), place.height()) - 6;
  painter.translate(place.center() - QPointF(side / 2, side / 2));
  painter.scale(side, side);
  QPen pen(isChecked() ? p.color(QPalette::Highlight) : p.color(QPalette::PlaceholderText), 1.2);
  pen.setCosmetic(true);
  painter.setPen(pen);
  painter.setBrush(isChecked() ? QBrush(p.color(QPalette::Highlight)) : QBrush(Qt::NoBrush));
  painter.drawPath(pinShape());
}

}  // namespace meshplan::gui
