// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QDialog>

namespace meshplan::gui {

/// Every key of the window: of its commands, of the timeline, and those that move the focus.
class KeysView : public QDialog {
  Q_OBJECT

 public:
  explicit KeysView(QWidget* window);
};

}  // namespace meshplan::gui
