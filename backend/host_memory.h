// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/units.h"

namespace meshplan {

/// What processes of this host can still take without swapping: MemAvailable of /proc/meminfo, or
/// what the limit of this process's control group (version 2) leaves, whichever is less. Without
/// either file, the physical memory.
Bytes availableMemory();

}  // namespace meshplan
