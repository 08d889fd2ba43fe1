// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace meshplan {

/// While it lives, SQLite works on files through it: it counts the operations that change files
/// (write, truncate, sync, delete, and the opening of files to write), and from a chosen one on
/// lets all of them fail, or kills the process at it.
class FaultyDisk {
 public:
  enum class Fault { none, ioError, full, kill };
  explicit FaultyDisk(Fault fault = Fault::none, int64_t at = 0, bool onlyOnce = false);
  ~FaultyDisk();
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  /// Operations since it was made; the first is 1.
  int64_t operations() const;
};

}  // namespace meshplan
