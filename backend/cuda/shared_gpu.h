// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "backend/comm/in_process.h"
#include "backend/cuda/cuda_context.h"

namespace meshplan {

/// Ranks as threads of one process that share one GPU: what they exchange lies in its memory and
/// goes to the stream in use of each rank's context. The hosts meet in every call (as in
/// backend/comm/in_process.h, with the same errors); then each rank's stream waits for those of the
/// others, reads their memory directly, and none goes on before all have read. Sums are those of
/// backend/comm/ordered_reduction.h, bit by bit. A send copies into memory of its own, so that the
/// sender's may be reused in stream order. Calls cannot be captured.
class SharedGpuWorld {
 public:
  /// The same ranks as those of `hosts`, with which they fail.
  explicit SharedGpuWorld(InProcessWorld& hosts);
  /// After all communicators and all contexts.
  ~SharedGpuWorld();

  /// The group of all ranks as the rank of `context` sees it; at most once per rank.
  std::unique_ptr<Communicator> connect(CudaContext& context);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace meshplan
