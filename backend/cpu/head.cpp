// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/head_movement.h"

namespace meshplan {

std::span<const CpuKernels> headKernels() {
  static constexpr auto kKernels = head::table<CpuKernels, CpuContext>();
  return kKernels;
}

}  // namespace meshplan
