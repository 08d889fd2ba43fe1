// SPDX-License-Identifier: Apache-2.0
#include "tests/cuda_emulation/emulator.h"

#include <algorithm>
#include <numeric>

#include "tests/cuda_emulation/block.h"
#include "tests/cuda_emulation/emulated_device.h"

using namespace meshplan::emulation;

namespace {

thread_local int current = 0;

bool isDevice(int index) {
  return index >= 0 && static_cast<size_t>(index) < device().visible.size();
}

}  // namespace

namespace meshplan::emulation {
int currentDevice() {
  return current;
}
}  // namespace meshplan::emulation

cudaError_t cudaGetDeviceCount(int* count) {
  MESHPLAN_ENTER();
  *count = static_cast<int>(device().visible.size());
  return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  MESHPLAN_ENTER();
  if (!isDevice(index)) return cudaErrorInvalidDevice;
  *properties = {};
  device().name.copy(properties->name, sizeof properties->name - 1);
  properties->uuid.bytes[15] = static_cast<char>(device().visible[static_cast<size_t>(index)] + 1);
  properties->totalGlobalMem = device().total;
  properties->sharedMemPerBlockOptin = 227 << 10;
  properties->major = 9;
  properties->multiProcessorCount = device().multiprocessors;
  properties->l2CacheSize = 1 << 20;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int index) {
  MESHPLAN_ENTER();
  if (!isDevice(index)) return cudaErrorInvalidDevice;
  current = index;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  MESHPLAN_ENTER();
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  MESHPLAN_ENTER();
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  MESHPLAN_ENTER();
  *free = device().total - device().used[static_cast<size_t>(currentDevice())];
  *total = device().total;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  MESHPLAN_ENTER();
  return runUntil(nullptr, [] {
    return std::all_of(device().streams.begin(), device().streams.end(),
                       [](cudaStream_t s) { return s->queue.empty(); });
  });
}
cudaError_t cudaGetLastError() {
  const Lock lock(device().mutex);
  return device().sticky;
}
const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    default:
      return "cudaErrorEmulated";
  }
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory" : "as the emulator was told";
}

namespace meshplan::emulation {

cudaError_t enqueueKernel(const cudaLaunchConfig_t& config, std::function<void()> body) {
  const auto fits = [](const dim3& d) { return d.x > 0 && d.y > 0 && d.z > 0; };
  const size_t threads = size_t(config.blockDim.x) * config.blockDim.y * config.blockDim.z;
  if (!fits(config.gridDim) || !fits(config.blockDim) || threads > 1024 ||
      config.gridDim.y > 65535 || config.gridDim.z > 65535)
    return cudaErrorInvalidConfiguration;
  return enqueue(config.stream, [config, body = std::move(body)] { runKernel(config, body); });
}

cudaError_t enqueue(cudaStream_t stream, std::function<void()> body) {
  MESHPLAN_ENTER();
  return add(stream, std::move(body));
}

cudaError_t enqueueWhen(cudaStream_t stream, std::function<bool()> ready,
                        std::function<void()> body) {
  MESHPLAN_ENTER();
  return add(stream, std::move(body), std::move(ready));
}

void setSchedule(uint64_t seed) {
  const Lock lock(device().mutex);
  device().shuffled = seed != 0;
  device().random.seed(seed);
}

void failCall(int64_t k, cudaError_t error, bool once) {
  const Lock lock(device().mutex);
  device().calls = 0;
  device().failAt = k;
  device().failure = error;
  device().once = once;
  device().sticky = cudaSuccess;
}

int64_t calls() {
  const Lock lock(device().mutex);
  return device().calls;
}
int64_t allocations() {
  const Lock lock(device().mutex);
  return static_cast<int64_t>(device().memory.size() + device().pinned.size());
}
int64_t operations() {
  const Lock lock(device().mutex);
  return device().operations;
}
void setDevices(int count, int first) {
  const Lock lock(device().mutex);
  device().visible.resize(static_cast<size_t>(count));
  std::iota(device().visible.begin(), device().visible.end(), first);
  device().used.assign(device().visible.size(), 0);
}
void setDeviceMemory(size_t bytes) {
  const Lock lock(device().mutex);
  device().total = bytes;
}

}  // namespace meshplan::emulation
