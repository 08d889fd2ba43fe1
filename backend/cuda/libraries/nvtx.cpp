// SPDX-License-Identifier: Apache-2.0
// NVTX (github.com/NVIDIA/NVTX) is headers only: a tool that watches brings the functions along.
#include <nvtx3/nvToolsExt.h>

#include "backend/cuda/named_ranges.h"

namespace meshplan {

void beginRange(const char* name) {
  nvtxRangePushA(name);
}

void endRange() {
  nvtxRangePop();
}

}  // namespace meshplan
