// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/cuda_transfers.h"

namespace meshplan {

void uploadBytes(CudaContext& context, void* to, const void* hostFrom, int64_t bytes) {
  if (bytes == 0) return;
  context.check(cudaMemcpyAsync(to, hostFrom, static_cast<size_t>(bytes), cudaMemcpyHostToDevice,
                                context.stream()),
                "cudaMemcpyAsync");
}

void downloadBytes(CudaContext& context, void* hostTo, const void* from, int64_t bytes) {
  if (bytes == 0) return;
  context.check(cudaMemcpyAsync(hostTo, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost,
                                context.stream()),
                "cudaMemcpyAsync");
  context.check(cudaStreamSynchronize(context.stream()), "cudaStreamSynchronize");
}

}  // namespace meshplan
