// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QString>
#include <vector>

namespace meshplan::gui {

/// Where a time is on the screen: seconds [begin, end] lie on pixels [x, x + width].
struct TimeScale {
  double begin = 0, end = 1;
  double x = 0, width = 1;

  double xOf(double t) const { return x + (t - begin) / (end - begin) * width; }
  double timeAt(double at) const { return begin + (at - x) / width * (end - begin); }
  double secondsPerPixel() const { return (end - begin) / width; }
};

/// A time with as many decimals as tell it from one `step` later: "835.164 ms".
QString fineTimeText(double t, double step);

/// Marks at 1, 2 or 5 times a power of ten, at most `most` of them, with as many decimals as tell
/// them apart.
struct TimeTick {
  double time = 0;
  QString text;
};
std::vector<TimeTick> timeTicks(double begin, double end, int most);

}  // namespace meshplan::gui
