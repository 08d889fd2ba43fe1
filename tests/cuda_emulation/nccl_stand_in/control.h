// SPDX-License-Identifier: Apache-2.0
#pragma once

/// What tests may ask of the library that stands in for NCCL: it moves data between ranks that are
/// threads of one process with an emulated GPU, waits as NCCL does, and fails when it is told to.
/// Its functions are found by name after it was opened.
extern "C" {
/// The k-th call of this name from now on, by whichever rank, returns `result` (ncclResult_t).
void ncclStandInFail(const char* call, int k, int result);
/// All communicators report this from now on; 0: none.
void ncclStandInAsyncError(int result);
void ncclStandInHangInAbort(int hangs);
/// What ncclGetVersion tells the calling thread; 0: 23004.
void ncclStandInVersion(int version);
/// Communicators that were not destroyed or aborted.
int ncclStandInOpen();
}
