// SPDX-License-Identifier: Apache-2.0
#include "gui/models/time_scale.h"

#include <algorithm>
#include <cmath>

namespace meshplan::gui {
namespace {

double stepFor(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (double factor : {1, 2, 5})
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

struct Unit {
  double seconds;
  const char* name;
};

Unit unitOf(double most) {
  if (most < 1e-3) return {1e-6, "us"};
  if (most < 1) return {1e-3, "ms"};
  return {1, "s"};
}

QString textIn(const Unit& unit, double t, double step) {
  const int decimals = std::max(0, int(std::ceil(-std::log10(step / unit.seconds) - 1e-9)));
  return QString::number(t / unit.seconds, 'f', decimals) + QLatin1Char(' ') +
         QLatin1String(unit.name);
}

}  // namespace

QString fineTimeText(double t, double step) {
  return textIn(unitOf(std::abs(t)), t, step);
}

std::vector<TimeTick> timeTicks(double begin, double end, int most) {
  std::vector<TimeTick> ticks;
  if (!(end > begin) || most < 1) return ticks;
  const double step = stepFor((end - begin) / most);
  const Unit unit = unitOf(std::max(std::abs(begin), std::abs(end)));
  for (double n = std::ceil(begin / step - 1e-9); n * step <= end * (1 + 1e-12); ++n)
    ticks.push_back({n * step, textIn(unit, n * step, step)});
  return ticks;
}

}  // namespace meshplan::gui
