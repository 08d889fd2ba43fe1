// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nccl.h>

#include "backend/gpu_libraries.h"

namespace meshplan {

/// NCCL, opened at run time: its functions by their own names and types. 2.18 or newer, else
/// Error(runtime): communicators are split from one, and none of their calls blocks. Opening it
/// asks NCCL to start what several communicators of a GPU do in the order of the calls
/// (NCCL_LAUNCH_ORDER_IMPLICIT, unless the environment says otherwise).
struct Nccl {
  explicit Nccl(const LibraryNames& names = ncclNames());

  /// Whether several ranks may use one GPU: NCCL_MULTI_RANK_GPU_ENABLE, which 2.30.3 brought.
  bool sharesGpus() const;

  int version = 0;  // 22809 for 2.28.9
  decltype(&ncclGetErrorString) getErrorString;
  decltype(&ncclGetLastError) getLastError;
  decltype(&ncclGetUniqueId) getUniqueId;
  decltype(&ncclCommInitRankConfig) commInitRankConfig;
  decltype(&ncclCommSplit) commSplit;
  decltype(&ncclCommFinalize) commFinalize;
  decltype(&ncclCommDestroy) commDestroy;
  decltype(&ncclCommAbort) commAbort;
  decltype(&ncclCommGetAsyncError) commGetAsyncError;
  decltype(&ncclAllReduce) allReduce;
  decltype(&ncclReduceScatter) reduceScatter;
  decltype(&ncclAllGather) allGather;
  decltype(&ncclBroadcast) broadcast;
  decltype(&ncclSend) send;
  decltype(&ncclRecv) receive;
  decltype(&ncclGroupStart) groupStart;
  decltype(&ncclGroupEnd) groupEnd;
};

}  // namespace meshplan
