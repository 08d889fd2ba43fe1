// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "backend/cpu/movement_tables.h"

namespace meshplan {

std::span<const CpuKernels> movementKernels() {
  static const std::vector<CpuKernels> kKernels = [] {
    std::vector<CpuKernels> all;
    for (const auto part :
         {rearrangementKernels(), paddingKernels(), resizeKernels(), fillKernels()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return kKernels;
}

}  // namespace meshplan
