// SPDX-License-Identifier: Apache-2.0
#include "gui/views/time_window.h"

#include <algorithm>

namespace meshplan::gui {
namespace {

constexpr double kLeast = 1e-8;

}  // namespace

void TimeWindow::reset(double stepTime) {
  stepTime_ = std::max(stepTime, kLeast);
  begin_ = 0;
  end_ = stepTime_;
  Q_EMIT changed();
}

void TimeWindow::show(double begin, double end) {
  const double length = std::clamp(end - begin, std::min(kLeast, stepTime_), stepTime_);
  const double middle = (begin + end) / 2;
  const double first = std::clamp(middle - length / 2, 0.0, stepTime_ - length);
  if (first == begin_ && first + length == end_) return;
  begin_ = first;
  end_ = first + length;
  Q_EMIT changed();
}

void TimeWindow::zoom(double at, double factor) {
  const double wanted = std::clamp(length() * factor, std::min(kLeast, stepTime_), stepTime_);
  const double scale = wanted / length();
  const double first = at - (at - begin_) * scale;
  show(first, first + wanted);
}

void TimeWindow::pan(double seconds) {
  show(begin_ + seconds, end_ + seconds);
}

bool TimeWindow::followKey(int key, double at) {
  switch (key) {
    case Qt::Key_W:
    case Qt::Key_Plus:
    case Qt::Key_Equal:
      return zoom(at, 0.8), true;
    case Qt::Key_S:
    case Qt::Key_Minus:
      return zoom(at, 1.25), true;
    case Qt::Key_A:
    case Qt::Key_Left:
      return pan(-0.1 * length()), true;
    case Qt::Key_D:
    case Qt::Key_Right:
      return pan(0.1 * length()), true;
    case Qt::Key_Home:
      return pan(-stepTime()), true;
    case Qt::Key_End:
      return pan(stepTime()), true;
    default:
      return false;
  }
}

void TimeWindow::reveal(double begin, double end) {
  if (begin >= begin_ && end <= end_) return;
  const double length = std::max(this->length(), 1.2 * (end - begin)), middle = (begin + end) / 2;
  show(middle - length / 2, middle + length / 2);
}

}  // namespace meshplan::gui
