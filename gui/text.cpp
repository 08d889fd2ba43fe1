// SPDX-License-Identifier: Apache-2.0
#include "gui/text.h"

#include <fmt/format.h>

#include <cmath>

namespace meshplan::gui {

QString changeText(double now, double then) {
  if (now == then) return now == 0 ? QString() : QStringLiteral("0.0 %");
  if (then == 0) return QStringLiteral("new");
  const double change = now / then - 1;
  if (change >= 9) return text(fmt::format("{:.1f} x", now / then));
  return text(fmt::format("{:+.1f} %", 100 * change));
}

QString dollarsText(double dollars) {
  if (dollars <= 0) return QStringLiteral("–");
  return text(dollars < 0.01 ? fmt::format("${:.3g}", dollars) : fmt::format("${:.2f}", dollars));
}

}  // namespace meshplan::gui
