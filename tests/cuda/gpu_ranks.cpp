// SPDX-License-Identifier: Apache-2.0
#include "tests/cuda/gpu_ranks.h"

#include "backend/comm/in_process.h"
#include "backend/cuda/cuda_device.h"
#include "backend/cuda/shared_gpu.h"

namespace meshplan {

void startOnSharedGpu(int ranks, const RankBody& body) {
  InProcessWorld hosts(ranks);
  SharedGpuWorld gpu(hosts);
  runInProcess(hosts, [&](Communicator& world) {
    CudaDevice device(0, world.rank());
    const auto data = gpu.connect(device.context());
    body(device, world, *data);
  });
}

}  // namespace meshplan
