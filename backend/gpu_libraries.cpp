// SPDX-License-Identifier: Apache-2.0
#include "backend/gpu_libraries.h"

#include <fmt/core.h>

#include <functional>

#include "backend/gpus.h"
#include "core/error.h"
#include "profiles/device_name.h"

namespace meshplan {
namespace {

constexpr const char* kPip =
    "install CUDA's libraries (for example with pip: nvidia-{}), and name the folder that pip put "
    "them in with MESHPLAN_CUDA_LIBRARIES";

std::string install(const char* package) {
  return fmt::format(fmt::runtime(kPip), package);
}

using Version = std::function<int64_t(const DynamicLibrary&)>;

/// By a function without arguments that returns the version.
Version returned(const char* symbol) {
  return [symbol](const DynamicLibrary& library) {
    return static_cast<int64_t>(library.function<size_t (*)()>(symbol)());
  };
}

/// By a function that writes the version; both libraries of this kind use 32 bits.
Version written(const char* symbol) {
  return [symbol](const DynamicLibrary& library) {
    int32_t version = 0;
    library.function<int (*)(int32_t*)>(symbol)(&version);
    return static_cast<int64_t>(version);
  };
}

GpuLibrary stateOf(const LibraryNames& names, const Version& version) {
  GpuLibrary state;
  state.name = names.name;
  try {
    const DynamicLibrary library(names);
    state.version = libraryVersionText(version(library));
    state.path = library.path();
  } catch (const Error& error) {
    state.problem = error.problem();
    state.remedy = error.remedy();
  }
  return state;
}

}  // namespace

LibraryNames cublasLtNames() {
  return {"cuBLASLt", {"libcublasLt.so.13", "libcublasLt.so.12"}, install("cublas")};
}
LibraryNames cudnnNames() {
  return {"cuDNN", {"libcudnn.so.9"}, install("cudnn-cu13")};
}
LibraryNames ncclNames() {
  return {"NCCL", {"libnccl.so.2"}, install("nccl-cu13")};
}
LibraryNames cuptiNames() {
  return {"CUPTI", {"libcupti.so.13", "libcupti.so.12"}, install("cuda-cupti")};
}

std::string gpuModel(const Gpu& gpu) {
  return matchDevice({gpu.name, gpu.memory, gpu.multiprocessors}).name;
}

std::vector<GpuLibrary> gpuLibraries() {
  return {stateOf(cublasLtNames(), returned("cublasLtGetVersion")),
          stateOf(cudnnNames(), returned("cudnnGetVersion")),
          stateOf(ncclNames(), written("ncclGetVersion")),
          stateOf(cuptiNames(), written("cuptiGetVersion"))};
}

}  // namespace meshplan
