// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "core/units.h"

namespace meshplan {

/// Quantities as people read them, three significant digits: "4.21 s", "38.4 us", "61.2 GiB",
/// "8.03 B" (billion), "1.42 PFLOP", "12,345", "42.1 %".
std::string secondsText(Seconds t);
std::string bytesText(Bytes b);
std::string countText(double n);
std::string flopsText(Flops f);
std::string groupedText(double n);
std::string percentText(double share);

/// "70GiB", "80GB", "512MiB" as bytes. Throws Error(usage) at `option` for anything else.
Bytes parseBytes(std::string_view text, std::string_view option);

}  // namespace meshplan
