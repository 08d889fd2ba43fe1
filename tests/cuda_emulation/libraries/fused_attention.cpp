// SPDX-License-Identifier: Apache-2.0
// The emulated device has no library of fused attention.
#include "backend/cuda/fused_attention.h"

#include "core/error.h"

namespace meshplan {

bool fusedAttentionTakes(CudaContext&, const KernelCall&, CudaKernel) {
  return false;
}

void fusedAttention(CudaContext&, const KernelCall&) {
  throw Error(ErrorKind::internal, "there is no library of fused attention");
}

}  // namespace meshplan
