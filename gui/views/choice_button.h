// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QToolButton>

namespace meshplan::gui {

/// One of several values: the chosen one is filled with the highlight colour in every theme.
class ChoiceButton : public QToolButton {
  Q_OBJECT

 public:
  ChoiceButton(const QString& value, QWidget* parent);

  /// Told apart: it can be taken, but the plan would not fit.
  void setDoubtful(bool doubtful);
  QSize sizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  bool doubtful_ = false;
};

}  // namespace meshplan::gui
