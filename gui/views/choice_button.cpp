// SPDX-License-Identifier: Apache-2.0
#include "gui/views/choice_button.h"

#include <QPainter>

namespace meshplan::gui {
namespace {

constexpr int kPadding = 14;
const QColor kDoubtful(0xd5, 0x5e, 0x00);

}  // namespace

ChoiceButton::ChoiceButton(const QString& value, QWidget* parent) : QToolButton(parent) {
  setText(value);
  setCheckable(true);
  setFocusPolicy(Qt::TabFocus);
}

void ChoiceButton::setDoubtful(bool doubtful) {
  doubtful_ = doubtful;
  update();
}

QSize ChoiceButton::sizeHint() const {
  const QFontMetrics metrics = fontMetrics();
  return {metrics.horizontalAdvance(text()) + kPadding, metrics.height() + 6};
}

void ChoiceButton::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  const QPalette& p = palette();
  const QPalette::ColorRole fill = isChecked() ? QPalette::Highlight : QPalette::Button;
  QColor background = p.color(isEnabled() ? QPalette::Active : QPalette::Disabled, fill);
  if (underMouse() && isEnabled() && !isChecked()) background = p.color(QPalette::Midlight);
  painter.setBrush(isEnabled() ? QBrush(background) : QBrush(Qt::NoBrush));
  QPen border(hasFocus() ? p.color(QPalette::Highlight) : p.color(QPalette::Mid));
  if (doubtful_) border = QPen(kDoubtful, 1.2, Qt::DashLine);
  painter.setPen(border);
  painter.drawRoundedRect(QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5), 3, 3);
  painter.setPen(p.color(isEnabled() ? QPalette::Active : QPalette::Disabled,
                         isChecked() ? QPalette::HighlightedText : QPalette::ButtonText));
  painter.drawText(rect(), Qt::AlignCenter, text());
}

}  // namespace meshplan::gui
