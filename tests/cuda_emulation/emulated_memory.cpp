// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <cstring>

#include "tests/cuda_emulation/emulated_device.h"

using namespace meshplan::emulation;

namespace {

bool isPinned(const void* at) {
  const auto& pinned = device().pinned;
  auto after = pinned.upper_bound(at);
  if (after == pinned.begin()) return false;
  --after;
  return static_cast<const char*>(at) <
         static_cast<const char*>(after->first) + after->second.bytes;
}

void copyRows(char* to, size_t toPitch, const char* from, size_t fromPitch, size_t width,
              size_t height) {
  for (size_t r = 0; r < height; ++r) std::memcpy(to + r * toPitch, from + r * fromPitch, width);
}

cudaError_t allocate(void** at, size_t bytes, std::map<const void*, Allocation>& kept) {
  const size_t whole = (bytes + 511) / 512 * 512 + 512;
  *at = std::aligned_alloc(512, whole);
  if (!*at) return cudaErrorMemoryAllocation;
  std::memset(*at, 0xff, whole);
  kept[*at] = {bytes, currentDevice()};
  return cudaSuccess;
}

}  // namespace

cudaError_t cudaMalloc(void** at, size_t bytes) {
  MESHPLAN_ENTER();
  size_t& used = device().used[static_cast<size_t>(currentDevice())];
  if (used + bytes > device().total) return cudaErrorMemoryAllocation;
  used += bytes;
  return allocate(at, bytes, device().memory);
}

// Errors that stick do not keep memory from being given back: tests look for leaks.
cudaError_t cudaFree(void* at) {
  const Lock lock(device().mutex);
  const cudaError_t status = entering();
  const auto found = device().memory.find(at);
  if (!at) return status;
  if (found == device().memory.end()) return cudaErrorInvalidValue;
  device().used[static_cast<size_t>(found->second.device)] -= found->second.bytes;
  device().memory.erase(found);
  std::free(at);
  return status;
}

cudaError_t cudaMallocHost(void** at, size_t bytes) {
  MESHPLAN_ENTER();
  return allocate(at, bytes, device().pinned);
}

cudaError_t cudaFreeHost(void* at) {
  const Lock lock(device().mutex);
  const cudaError_t status = entering();
  if (!at) return status;
  if (device().pinned.erase(at) == 0) return cudaErrorInvalidValue;
  std::free(at);
  return status;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t toPitch, const void* from, size_t fromPitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  MESHPLAN_ENTER();
  auto* target = static_cast<char*>(to);
  const auto* source = static_cast<const char*>(from);
  if (kind == cudaMemcpyHostToDevice && !isPinned(from)) {
    // Memory that is not pinned may be changed as soon as the call has returned.
    if (stream && stream->capture) return cudaErrorStreamCaptureUnsupported;
    auto kept = std::make_shared<std::vector<char>>(width * height);
    copyRows(kept->data(), width, source, fromPitch, width, height);
    return add(stream, [=] { copyRows(target, toPitch, kept->data(), width, width, height); });
  }
  const cudaError_t status =
      add(stream, [=] { copyRows(target, toPitch, source, fromPitch, width, height); });
  if (status != cudaSuccess || kind != cudaMemcpyDeviceToHost || isPinned(to)) return status;
  if (stream->capture) return cudaErrorStreamCaptureUnsupported;
  return runUntil(stream, [&] { return stream->queue.empty(); });
}

cudaError_t cudaMemsetAsync(void* at, int value, size_t bytes, cudaStream_t stream) {
  MESHPLAN_ENTER();
  return add(stream, [=] { std::memset(at, value, bytes); });
}
