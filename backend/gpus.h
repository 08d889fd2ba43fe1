// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/rank_backend.h"
#include "core/cluster.h"
#include "core/units.h"

namespace meshplan {

struct Gpu {
  int index = 0;
  std::string name, uuid;
  Bytes memory, free;
  int capability = 0;  // 90 for compute capability 9.0
  int multiprocessors = 0;
};

/// What this program can use of NVIDIA's GPUs on this machine. `problem` says in one sentence why
/// none can be used, with a `remedy` where there is one; both are empty when `gpus` is not.
struct GpuState {
  std::string runtime, driver;  // CUDA versions, "13.0"; empty: none
  std::vector<Gpu> gpus;
  std::string problem, remedy;
};
GpuState gpuState();

/// The catalogue's name of a GPU, "H100-SXM" of "NVIDIA H100 80GB HBM3"; one that it has not, or
/// that has other memory or multiprocessors there, keeps its own (profiles/device_name.h).
std::string gpuModel(const Gpu& gpu);

/// A GPU that the catalogue has not: peaks are what square products and large copies reach,
/// measured in a second or two. Throws Error(runtime) as CudaContext does.
DeviceSpec measureGpu(const Gpu& gpu);

/// So many ranks of this process on the GPUs of this machine: each on its own, or, where there is
/// one GPU only, all on that. Throws Error(usage) when there is no GPU, or there are fewer than
/// ranks but more than one.
std::unique_ptr<RankBackend> gpuBackend(int ranks);

/// A library that the GPU backend opens at run time.
struct GpuLibrary {
  std::string name, version, path;
  std::string problem, remedy;  // empty when it was opened
};
std::vector<GpuLibrary> gpuLibraries();

}  // namespace meshplan
