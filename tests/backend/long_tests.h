// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>

namespace meshplan {

/// Whether `./dev test --long` runs: suites then take all cases instead of an even sample.
inline bool longTests() {
  return std::getenv("MESHPLAN_LONG_TESTS") != nullptr;
}

}  // namespace meshplan
