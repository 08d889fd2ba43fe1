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

QString signedText(Seconds t) {
  if (t.value == 0) return text(t);
  return (t.value > 0 ? QStringLiteral("+") : QStringLiteral("−")) +
         text(Seconds(std::abs(t.value)));
}

QString dollarsText(double dollars) {
  if (dollars <= 0) return QStringLiteral("–");
  if (dollars >= 0.01) return text(fmt::format("${:.2f}", dollars));
  const int digits = 1 - static_cast<int>(std::floor(std::log10(dollars)));  // two that count
  return text(fmt::format("${:.{}f}", dollars, digits));
}

}  // namespace meshplan::gui
