// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/rank_device.h"
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

/// A GPU as the device of a rank. Throws Error(usage) with `problem` and `remedy` when there is no
/// such GPU, Error(runtime) when it cannot be used.
std::unique_ptr<RankDevice> openGpu(int index, int rank);

/// A library that the GPU backend opens at run time.
struct GpuLibrary {
  std::string name, version, path;
  std::string problem, remedy;  // empty when it was opened
};
std::vector<GpuLibrary> gpuLibraries();

}  // namespace meshplan
