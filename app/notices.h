// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace meshplan {

/// What people should know besides a result: the terminal prints it, the desktop shows it.
struct Notice {
  enum class Kind : uint8_t {
    note,
    warning,
    progress
  };  // progress: until the next one, "" ends it
  Kind kind = Kind::note;
  std::string text;
};
using Tell = std::function<void(const Notice&)>;

}  // namespace meshplan
