// SPDX-License-Identifier: Apache-2.0
#include "backend/gpus.h"

#include <cuda_runtime_api.h>
#include <fmt/core.h>

#include <filesystem>

namespace meshplan {
namespace {

std::string versionText(int version) {
  return version == 0 ? "" : fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

/// As nvidia-smi writes it.
std::string uuidText(const cudaUUID_t& uuid) {
  std::string text = "GPU";
  for (int i = 0; i < 16; ++i) {
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

void explain(cudaError_t status, GpuState& state) {
  constexpr const char* kDriver = "/proc/driver/nvidia/version";
  const bool driver = std::filesystem::exists(kDriver);
  switch (status) {
    case cudaErrorNoDevice:
      state.problem = "the NVIDIA driver finds no GPU";
      state.remedy = "look at CUDA_VISIBLE_DEVICES and at what nvidia-smi says";
      return;
    case cudaErrorInsufficientDriver:
    case cudaErrorStubLibrary:
      if (!driver) {
        state.problem = "no NVIDIA driver";
        return;
      }
      state.problem =
          fmt::format("the NVIDIA driver is for CUDA {}, and CUDA {} is needed",
                      state.driver.empty() ? "of an older version" : state.driver, state.runtime);
      state.remedy = "update the driver";
      return;
    default:
      state.problem = fmt::format("CUDA does not start: {} ({})", cudaGetErrorString(status),
                                  cudaGetErrorName(status));
      state.remedy = "try nvidia-smi; a container needs --gpus all";
  }
}

Gpu gpuAt(int index) {
  cudaDeviceProp p;
  Gpu gpu;
  gpu.index = index;
  if (cudaGetDeviceProperties(&p, index) != cudaSuccess) return gpu;
  gpu.name = p.name;
  gpu.uuid = uuidText(p.uuid);
  gpu.memory = Bytes(static_cast<int64_t>(p.totalGlobalMem));
  gpu.capability = p.major * 10 + p.minor;
  gpu.multiprocessors = p.multiProcessorCount;
  return gpu;
}

}  // namespace

GpuState gpuState() {
  GpuState state;
  int runtime = 0, driver = 0, count = 0;
  cudaRuntimeGetVersion(&runtime);
  cudaDriverGetVersion(&driver);
  state.runtime = versionText(runtime);
  state.driver = versionText(driver);
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    cudaGetLastError();
    explain(status == cudaSuccess ? cudaErrorNoDevice : status, state);
    return state;
  }
  for (int i = 0; i < count; ++i) state.gpus.push_back(gpuAt(i));
  return state;
}

Bytes freeMemory(const Gpu& gpu) {
  size_t free = 0, total = 0;
  const bool told =
      cudaSetDevice(gpu.index) == cudaSuccess && cudaMemGetInfo(&free, &total) == cudaSuccess;
  return Bytes(told ? static_cast<int64_t>(free) : 0);
}

}  // namespace meshplan
