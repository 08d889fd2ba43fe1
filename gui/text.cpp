// SPDX-License-Identifier: Apache-2.0
#include "gui/text.h"

#include <fmt/format.h>

#include <QCoreApplication>

#include <cmath>

namespace meshplan::gui {
namespace {

/// For lupdate, which finds texts in code only.
[[maybe_unused]] constexpr const char* kTerms[] = {
    QT_TRANSLATE_NOOP("Term", "weights"),     QT_TRANSLATE_NOOP("Term", "gradients"),
    QT_TRANSLATE_NOOP("Term", "optimizer"),   QT_TRANSLATE_NOOP("Term", "master weights"),
    QT_TRANSLATE_NOOP("Term", "activations"), QT_TRANSLATE_NOOP("Term", "communication"),
    QT_TRANSLATE_NOOP("Term", "workspace"),   QT_TRANSLATE_NOOP("Term", "reserve"),
    QT_TRANSLATE_NOOP("Term", "forward"),     QT_TRANSLATE_NOOP("Term", "recompute"),
    QT_TRANSLATE_NOOP("Term", "backward"),    QT_TRANSLATE_NOOP("Term", "update"),
    QT_TRANSLATE_NOOP("Term", "compute"),     QT_TRANSLATE_NOOP("Term", "tensor"),
    QT_TRANSLATE_NOOP("Term", "expert"),      QT_TRANSLATE_NOOP("Term", "data"),
    QT_TRANSLATE_NOOP("Term", "send"),        QT_TRANSLATE_NOOP("Term", "receive"),
    QT_TRANSLATE_NOOP("Term", "measured"),    QT_TRANSLATE_NOOP("Term", "interpolated"),
    QT_TRANSLATE_NOOP("Term", "analytic"),    QT_TRANSLATE_NOOP("Term", "none"),
    QT_TRANSLATE_NOOP("Term", "selective"),   QT_TRANSLATE_NOOP("Term", "full")};

}  // namespace

QString term(std::string_view english) {
  return QCoreApplication::translate("Term", std::string(english).c_str());
}

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
