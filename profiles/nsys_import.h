// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "profiles/imported.h"

namespace meshplan {

/// Reads SQLite exports of Nsight Systems (`nsys export --type sqlite`) of PyTorch under
/// torch.autograd.profiler.emit_nvtx(record_shapes=True), whose ranges name calls and the sizes of
/// their tensors ("aten::addmm, seq = 3, op_id = 5, sizes = [[128], [64, 64], [64, 128]]"). Kernels
/// belong to the innermost range of the thread at their launch. The dtype is that of the kernels'
/// names, because the ranges have none. Collectives come from NCCL's ranges with a payload (message
/// size, communicator), where all ranks of the communicator were profiled.
///
/// Tables and columns that a version lacks are done without where possible (they are made lazily,
/// docs.nvidia.com/nsight-systems, "SQLite schema reference"). Throws Error(input) naming the file
/// for what is no such export, is damaged, or was taken without CUDA and NVTX, Error(usage) where
/// neither the file nor the options name the device.
void importNsys(const std::string& path, const ImportOptions& options, ImportCollector& collector);

}  // namespace meshplan
