// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "backend/cuda/libraries/nccl.h"
#include "tests/cuda/gpu.h"

namespace meshplan {

/// NCCL as tests find it: what stands in for it on the emulated GPU, else the real one, if any.
inline LibraryNames ncclOfTests() {
#ifdef MESHPLAN_NCCL_STAND_IN
  return {"NCCL", {MESHPLAN_NCCL_STAND_IN}, "build nccl_stand_in"};
#else
  return ncclNames();
#endif
}

}  // namespace meshplan
