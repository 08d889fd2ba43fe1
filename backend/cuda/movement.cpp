// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "backend/cpu/head_movement.h"
#include "backend/cpu/rearrangement.h"
#include "backend/cuda/box_kernels.h"
#include "backend/cuda/movement_tables.h"

namespace meshplan {
namespace {

/// Elements of less than a byte are not moved one by one.
bool hasWholeBytes(const KernelCall& call) {
  return std::all_of(call.outputs.begin(), call.outputs.end(),
                     [](const TensorView& t) { return isConverted(t.type.dtype); });
}

template <size_t N>
void append(std::vector<CudaKernels>& all, const std::array<CudaKernels, N>& part) {
  for (CudaKernels kernels : part) {
    kernels.takes = hasWholeBytes;
    all.push_back(kernels);
  }
}

}  // namespace

std::span<const CudaKernels> cudaMovementKernels() {
  static const std::vector<CudaKernels> kKernels = [] {
    std::vector<CudaKernels> all;
    append(all, rearrangement::table<CudaKernels, CudaContext>());
    append(all, head::table<CudaKernels, CudaContext>());
    for (const auto part : {cudaPaddingKernels(), cudaIndexingKernels()})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return kKernels;
}

}  // namespace meshplan
