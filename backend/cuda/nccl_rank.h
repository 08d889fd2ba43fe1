// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "backend/communicator.h"
#include "backend/cuda/cuda_context.h"
#include "backend/cuda/libraries/nccl.h"

namespace meshplan {

/// What all NCCL communicators of one rank have in common: how calls are checked, how long they are
/// waited for, and how they all end. Errors are Error(runtime) naming the call, the rank and the
/// GPU; PeerError when the hosts' ranks have failed meanwhile.
class NcclRank {
 public:
  /// `hosts`: the world of all ranks. A rank that cannot end its communicators within
  /// `abortWithin` ends the process, with the exit code of runtime errors.
  NcclRank(const Nccl& nccl, CudaContext& context, Communicator& hosts,
           std::chrono::milliseconds abortWithin);
  ~NcclRank();
  NcclRank(const NcclRank&) = delete;
  NcclRank& operator=(const NcclRank&) = delete;

  const Nccl& nccl() const { return nccl_; }
  CudaContext& context() { return context_; }

  /// Starts a communicator with a call that writes its handle, and waits until it is ready.
  /// `parent`: of which this call is one, or null. Null when the call gives this rank none.
  ncclComm_t start(const char* call, ncclComm_t parent,
                   const std::function<ncclResult_t(ncclComm_t*)>& begin);
  /// Ends one in peace, or by force where that fails.
  void end(ncclComm_t comm);

  /// For the result of a call on `comm`: waits while it is in progress, throws unless it succeeds.
  void settle(ncclComm_t comm, ncclResult_t status, const char* call);
  void check(ncclComm_t comm, ncclResult_t status, const char* call) const;
  /// Throws once this rank's communicators were aborted, or the ranks have failed.
  void throwIfFailed() const;
  /// Makes all ranks fail, and ends all communicators of this one by force.
  void abort(const std::string& reason);

 private:
  void poll();
  void abortAll();
  void forget(ncclComm_t comm);

  const Nccl& nccl_;
  CudaContext& context_;
  Communicator& hosts_;
  const std::chrono::milliseconds abortWithin_;
  std::vector<ncclComm_t> comms_;
  std::string aborted_;  // why
  std::chrono::steady_clock::time_point polled_;
};

}  // namespace meshplan
