// SPDX-License-Identifier: Apache-2.0
#include "planner/memory_model.h"

namespace meshplan {

MemoryReserve reserveOf(const DeviceSpec& device, const MeshShape& mesh) {
  if (device.architecture == "cpu") return {};
  constexpr int64_t kContext = 768 * kMiB, kCommunicator = 16 * 2 * 4 * kMiB;
  int64_t communicators = 0;
  for (MeshAxis a : {MeshAxis::tensor, MeshAxis::expert, MeshAxis::data, MeshAxis::pipeline})
    communicators += mesh.size(a) > 1;
  const bool hopper = device.architecture == "hopper" || device.architecture == "blackwell";
  return {Bytes(kContext), Bytes(communicators * kCommunicator), Bytes((hopper ? 32 : 8) * kMiB)};
}

Bytes usableMemory(const DeviceSpec& device) {
  return device.architecture == "cpu" ? device.memory : Bytes(device.memory.value / 100 * 95);
}

}  // namespace meshplan
