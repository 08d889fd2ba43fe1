// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace meshplan::emulation {

/// How often ranges of each name (backend/cuda/named_ranges.h) were closed since this was last
/// asked, by all threads.
std::map<std::string, int64_t> takeClosedRanges();

}  // namespace meshplan::emulation
