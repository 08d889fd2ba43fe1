// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QToolButton>

namespace meshplan::gui {

/// A drawing pin: in (filled) or out (an outline), in the colours of every theme.
class PinButton : public QToolButton {
  Q_OBJECT

 public:
  PinButton(const QString& name, QWidget* parent);

  QSize sizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;
};

}  // namespace meshplan::gui
