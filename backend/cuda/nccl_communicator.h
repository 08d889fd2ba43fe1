// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>

#include "backend/communicator.h"
#include "backend/cuda/cuda_context.h"
#include "backend/cuda/libraries/nccl.h"

namespace meshplan {

/// The group of all ranks of `hosts` over NCCL: every rank calls it, each with a GPU of its own.
/// Calls enqueue on the stream in use of the context and can be captured. Groups are split from one
/// communicator of NCCL; hosts form the same groups beside them. All must outlive what is returned.
///
/// Otherwise than communicators of hosts do, sums are made in an order that NCCL chooses (the same
/// for all ranks and every run of a machine), calls that differ between ranks are not told apart,
/// and a send may hold up its stream until the receive is posted, though never the host.
/// CudaContext::synchronize then also ends, with an error, when NCCL reports one or a rank of
/// `hosts` has failed. A rank whose communicators cannot be ended by force within `abortWithin`
/// ends its process with the exit code of runtime errors.
///
/// Throws Error(usage) naming two ranks that use one GPU, where NCCL refuses that, or have
/// different versions of NCCL.
std::unique_ptr<Communicator> connectNccl(
    const Nccl& nccl, CudaContext& context, Communicator& hosts,
    std::chrono::milliseconds abortWithin = std::chrono::seconds(5));

}  // namespace meshplan
