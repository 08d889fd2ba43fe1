// SPDX-License-Identifier: Apache-2.0
// What stands for the GPU backend in a program that was built without CUDA.
#include "backend/gpus.h"

#include "core/error.h"

namespace meshplan {

GpuState gpuState() {
  GpuState state;
  state.problem = "this Meshplan was built without CUDA";
  state.remedy = "build it where a CUDA toolkit of version 12 or later is installed";
  return state;
}

Bytes freeMemory(const Gpu&) {
  return {};
}

namespace {

Error unavailable() {
  const GpuState state = gpuState();
  return Error(ErrorKind::usage, state.problem, state.remedy);
}

}  // namespace

DeviceSpec measureGpu(const Gpu&) {
  throw unavailable();
}

std::unique_ptr<RankBackend> gpuBackend(int, const LibraryNames&) {
  throw unavailable();
}

std::unique_ptr<RankBackend> gpuBackend(Communicator&, const LibraryNames&) {
  throw unavailable();
}

}  // namespace meshplan
