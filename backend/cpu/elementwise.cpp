// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "backend/cpu/elementwise_tables.h"

namespace meshplan {

std::span<const CpuKernels> elementwiseKernels() {
  static const std::vector<CpuKernels> kKernels = [] {
    std::vector<CpuKernels> all;
    for (const auto part : {unaryKernels(), binaryKernels(), gatedKernels(), rotaryKernels()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return kKernels;
}

}  // namespace meshplan
