// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/gpu_libraries.h"
#include "backend/rank_backend.h"
#include "core/cluster.h"
#include "core/units.h"

namespace meshplan {

struct Gpu {
  int index = 0;
  std::string name, uuid;
  Bytes memory;
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
/// What is free on a GPU now; 0 where it does not answer. Takes the memory that CUDA needs there.
Bytes freeMemory(const Gpu& gpu);

/// The catalogue's name of a GPU, "H100-SXM" of "NVIDIA H100 80GB HBM3"; one that it has not, or
/// that has other memory or multiprocessors there, keeps its own (profiles/device_name.h).
std::string gpuModel(const Gpu& gpu);

/// A GPU that the catalogue has not: peaks are what square products and large copies reach,
/// measured in a second or two. Throws Error(runtime) as CudaContext does.
DeviceSpec measureGpu(const Gpu& gpu);

/// So many ranks that are threads of this process on the GPUs of this machine: each on its own,
/// joined by NCCL, or, where there is one GPU only, all on that. Throws Error(usage) when there is
/// no GPU, or there are fewer than ranks but more than one, Error(runtime) when NCCL is needed and
/// cannot be used.
std::unique_ptr<RankBackend> gpuBackend(int ranks, const LibraryNames& nccl = ncclNames());
/// For the one rank that this process is in a world of processes, joined by NCCL; every rank calls
/// it. Ranks choose their GPUs as backend/gpu_choice.h says, with its errors, the same on all
/// ranks.
std::unique_ptr<RankBackend> gpuBackend(Communicator& world,
                                        const LibraryNames& nccl = ncclNames());

/// A library that the GPU backend opens at run time.
struct GpuLibrary {
  std::string name, version, path;
  std::string problem, remedy;  // empty when it was opened
};
std::vector<GpuLibrary> gpuLibraries();

}  // namespace meshplan
