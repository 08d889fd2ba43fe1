// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/cluster.h"
#include "core/device_mesh.h"
#include "core/units.h"

namespace meshplan {

/// Memory that is gone before the first tensor is allocated: per rank.
struct MemoryReserve {
  Bytes framework;      // driver context, kernels' code, the framework's own
  Bytes communication;  // NCCL's channel buffers
  Bytes workspace;      // matrix library workspace
};

/// What a rank of this mesh loses to its runtime on these devices.
///   framework: a CUDA context with PyTorch's kernels loaded. NVIDIA documents no figure; 0.5 to
///   0.8 GiB is what users
///     measure with nvidia-smi on an idle process (pytorch/pytorch#20532), 0.75 GiB is taken.
///     Nothing on a CPU.
///   communication: a NCCL communicator keeps buffers of NCCL_BUFFSIZE (4 MiB by default, NCCL user
///   guide) per channel for
///     each of its peers; with 16 channels and a send and a receive side that is 128 MiB for each
///     mesh axis in use.
///   workspace: cuBLAS' 32 MiB on Hopper and later, 8 MiB before (PyTorch CUBLAS_WORKSPACE_CONFIG
///   default).
MemoryReserve reserveOf(const DeviceSpec& device, const MeshShape& mesh);

/// What a plan may use of a device by default: 95 % of its nominal memory. The driver keeps some
/// (an "80 GB" H100 reports 81,559 MiB, 99.6 % of 80 GiB) and a caching allocator cannot fill the
/// rest without gaps: its rounding alone is 2 MiB per block (PyTorch's CUDACachingAllocator), and
/// published estimates that leave it out are 5.6 to 10.8 % low on model state (docs/cost_model.md).
/// `--memory-limit` overrides it.
Bytes usableMemory(const DeviceSpec& device);

}  // namespace meshplan
