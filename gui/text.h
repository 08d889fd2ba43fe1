// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <QString>
#include <string>
#include <string_view>

#include "app/human.h"

namespace meshplan::gui {

/// Text of the libraries as the interface shows it.
inline QString text(std::string_view s) {
  return QString::fromUtf8(s.data(), static_cast<qsizetype>(s.size()));
}
inline QString text(Seconds t) {
  return text(secondsText(t));
}
inline QString text(Bytes b) {
  return text(bytesText(b));
}
inline QString percent(double share) {
  return text(percentText(share));
}
/// A term of the libraries ("weights", "forward", "measured") in the language of the interface.
QString term(std::string_view english);
/// "+4.9 %" of what `now` is against `then`; empty when both are 0.
QString changeText(double now, double then);
/// "+1.20 ms", "−340 us", "0 s"
QString signedText(Seconds t);
/// "$0.0123"
QString dollarsText(double dollars);

}  // namespace meshplan::gui
