// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QToolButton>

namespace meshplan::gui {

/// One of several values: the chosen one is filled with the highlight colour in every theme.
class ChoiceButton : public QToolButton {
  Q_OBJECT

 public:
  ChoiceButton(const QString& value, QWidget* parent);

  QSize sizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;
};

}  // namespace meshplan::gui
