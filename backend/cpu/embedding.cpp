// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/cpu_kernels.h"

namespace meshplan {

std::span<const CpuKernels> embeddingKernels() {
  return {};
}

}  // namespace meshplan
