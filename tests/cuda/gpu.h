// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "backend/cuda/cuda_context.h"

/// Skips the test, with the reason, where no GPU answers. The emulated one always does.
#define MESHPLAN_NEEDS_GPU()                                    \
  do {                                                          \
    int gpus = 0;                                               \
    const cudaError_t status = cudaGetDeviceCount(&gpus);       \
    if (status != cudaSuccess || gpus == 0)                     \
      GTEST_SKIP() << "no GPU: " << cudaGetErrorString(status); \
  } while (false)

namespace meshplan {

/// Whether tests run on the emulated GPU: thousands of times slower than a real one.
inline bool gpuIsEmulated() {
  cudaDeviceProp properties;
  return cudaGetDeviceProperties(&properties, 0) == cudaSuccess &&
         std::string_view(properties.name) == "Emulated GPU";
}

}  // namespace meshplan
