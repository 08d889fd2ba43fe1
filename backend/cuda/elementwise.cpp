// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "backend/cuda/elementwise_tables.h"

namespace meshplan {

std::span<const CudaKernels> cudaElementwiseKernels() {
  static const std::vector<CudaKernels> kKernels = [] {
    std::vector<CudaKernels> all;
    for (const auto part : {cudaUnaryKernels(), cudaBinaryKernels(), cudaGatedKernels(),
                            cudaDropoutKernels(), cudaRotaryKernels()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return kKernels;
}

}  // namespace meshplan
