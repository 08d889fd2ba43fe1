// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/libraries/nccl.h"

#include <cstdlib>
#include <string_view>

namespace meshplan {
namespace {

constexpr int kLeastVersion = 21800, kSharesGpus = 23003;

}  // namespace

Nccl::Nccl(const LibraryNames& names) {
  const DynamicLibrary library(names);
  MESHPLAN_SYMBOL(library, ncclGetVersion)(&version);
  library.requireVersion(version, kLeastVersion);
  getErrorString = MESHPLAN_SYMBOL(library, ncclGetErrorString);
  getLastError = MESHPLAN_SYMBOL(library, ncclGetLastError);
  getUniqueId = MESHPLAN_SYMBOL(library, ncclGetUniqueId);
  commInitRankConfig = MESHPLAN_SYMBOL(library, ncclCommInitRankConfig);
  commSplit = MESHPLAN_SYMBOL(library, ncclCommSplit);
  commFinalize = MESHPLAN_SYMBOL(library, ncclCommFinalize);
  commDestroy = MESHPLAN_SYMBOL(library, ncclCommDestroy);
  commAbort = MESHPLAN_SYMBOL(library, ncclCommAbort);
  commGetAsyncError = MESHPLAN_SYMBOL(library, ncclCommGetAsyncError);
  allReduce = MESHPLAN_SYMBOL(library, ncclAllReduce);
  reduceScatter = MESHPLAN_SYMBOL(library, ncclReduceScatter);
  allGather = MESHPLAN_SYMBOL(library, ncclAllGather);
  broadcast = MESHPLAN_SYMBOL(library, ncclBroadcast);
  send = MESHPLAN_SYMBOL(library, ncclSend);
  receive = MESHPLAN_SYMBOL(library, ncclRecv);
  groupStart = MESHPLAN_SYMBOL(library, ncclGroupStart);
  groupEnd = MESHPLAN_SYMBOL(library, ncclGroupEnd);
  setenv("NCCL_LAUNCH_ORDER_IMPLICIT", "1", 0);
}

bool Nccl::sharesGpus() const {
  const char* enabled = std::getenv("NCCL_MULTI_RANK_GPU_ENABLE");
  return version >= kSharesGpus && enabled && std::string_view(enabled) == "1";
}

}  // namespace meshplan
