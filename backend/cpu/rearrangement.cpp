// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/rearrangement.h"

#include "backend/cpu/movement_tables.h"

namespace meshplan {

std::span<const CpuKernels> rearrangementKernels() {
  static constexpr auto kKernels = rearrangement::table<CpuKernels, CpuContext>();
  return kKernels;
}

}  // namespace meshplan
