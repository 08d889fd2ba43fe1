// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QWidget>
#include <utility>
#include <vector>

namespace meshplan::gui {

/// A key, and what it does.
using KeyLine = std::pair<QString, QString>;
std::vector<KeyLine> timelineKeys();

/// The keys of the timeline, as a sheet over its middle; a click or any key closes it.
class TimelineHelp : public QWidget {
  Q_OBJECT

 public:
  explicit TimelineHelp(QWidget* parent);
  void toggle();

 protected:
  void paintEvent(QPaintEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;
};

}  // namespace meshplan::gui
