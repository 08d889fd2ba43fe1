// SPDX-License-Identifier: Apache-2.0
#include "gui/views/timeline_help.h"

#include <QKeyEvent>
#include <QPainter>
#include <algorithm>

namespace meshplan::gui {
std::vector<KeyLine> timelineKeys() {
  const auto tr = [](const char* text) { return TimelineHelp::tr(text); };
  return {{tr("W  S"), tr("closer, farther (also Ctrl+wheel)")},
          {tr("A  D"), tr("earlier, later (also Shift+drag)")},
          {tr("drag"), tr("select a time range")},
          {tr("click"), tr("select the operator and its ranks")},
          {tr("F"), tr("fit the selection, or everything")},
          {tr("M"), tr("mark the selection; Shift+M forgets marks")},
          {tr("[  ]"), tr("previous, next run of the selected operator")},
          {tr("B"), tr("next bubble; Shift+B the one before")},
          {tr("C"), tr("critical path")},
          {tr("L"), tr("lines from send to receive")},
          {tr("R"), tr("the last run, measured below predicted, or the plan")},
          {tr("Esc"), tr("clear the selection")},
          {tr("?"), tr("this help")}};
}

TimelineHelp::TimelineHelp(QWidget* parent) : QWidget(parent) {
  setObjectName(QStringLiteral("timelineHelp"));
  setAccessibleName(tr("Keys of the timeline"));
  setFocusPolicy(Qt::StrongFocus);
  hide();
}

void TimelineHelp::toggle() {
  setGeometry(parentWidget()->rect());
  setVisible(!isVisible());
  if (isVisible()) raise(), setFocus();
}

void TimelineHelp::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  QColor shade = palette().color(QPalette::Window);
  shade.setAlpha(150);
  painter.fillRect(rect(), shade);
  const QFontMetrics metrics = fontMetrics();
  int keys = 0, words = 0;
  for (const KeyLine& row : timelineKeys()) {
    keys = std::max(keys, metrics.horizontalAdvance(row.first));
    words = std::max(words, metrics.horizontalAdvance(row.second));
  }
  const int line = metrics.height() + 6, margin = metrics.height();
  QRect sheet(0, 0, keys + words + 4 * margin, int(timelineKeys().size() + 1) * line + 2 * margin);
  sheet.moveCenter(rect().center());
  painter.setPen(palette().color(QPalette::Mid));
  painter.setBrush(palette().color(QPalette::Base));
  painter.drawRect(sheet);
  QRect at(sheet.left() + margin, sheet.top() + margin, sheet.width() - 2 * margin, line);
  painter.setPen(palette().color(QPalette::PlaceholderText));
  painter.drawText(at, Qt::AlignLeft | Qt::AlignVCenter, tr("Keys of the timeline"));
  for (const KeyLine& row : timelineKeys()) {
    at.translate(0, line);
    painter.setPen(palette().color(QPalette::Link));
    painter.drawText(at, Qt::AlignLeft | Qt::AlignVCenter, row.first);
    painter.setPen(palette().color(QPalette::Text));
    painter.drawText(at.adjusted(keys + 2 * margin, 0, 0, 0), Qt::AlignLeft | Qt::AlignVCenter,
                     row.second);
  }
}

void TimelineHelp::mousePressEvent(QMouseEvent*) {
  hide();
}

void TimelineHelp::keyPressEvent(QKeyEvent* event) {
  hide();
  parentWidget()->setFocus();
  event->accept();
}

}  // namespace meshplan::gui
