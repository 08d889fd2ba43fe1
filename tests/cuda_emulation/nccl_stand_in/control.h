// SPDX-License-Identifier: Apache-2.0
#pragma once

/// What tests may ask of the library that stands in for NCCL: it moves data between ranks with
/// emulated GPUs, threads of one process or processes (board.h), waits as NCCL does, and fails when
/// it is told to.
/// Its functions are found by name after it was opened.
extern "C" {
/// The k-th call of this name (empty: of any) from now on, by whichever rank, returns `result`
/// (ncclResult_t). MESHPLAN_NCCL_STAND_IN_FAIL=RANK:K does it to a process.
void ncclStandInFail(const char* call, int k, int result);
/// All communicators report this from now on; 0: none.
void ncclStandInAsyncError(int result);
void ncclStandInHangInAbort(int hangs);
/// What ncclGetVersion tells the calling thread; 0: MESHPLAN_NCCL_STAND_IN_VERSION, else 23004.
void ncclStandInVersion(int version);
/// Communicators that were not destroyed or aborted.
int ncclStandInOpen();
}
