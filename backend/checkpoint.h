// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "backend/executor.h"
#include "core/error.h"

namespace meshplan {

/// A training run on disk: one safetensors file with whole tensors under the parameters' names
/// (weights), with `.master`, `.momentum` and `.variance` behind them (state); in its metadata the
/// step, the seed, the model's fingerprint, in fp16 the loss scale, and a checksum of each tensor.
/// It fits every plan of the model in the same precision: each rank takes its part.
struct CheckpointInfo {
  int64_t step = 0;  // steps done
  uint64_t seed = 0;
  std::string fingerprint;  // of the forward graph
};

/// Every rank calls it; rank 0 writes, the whole file or nothing. Returns, on all ranks, what kept
/// it from that; the file is then as it was before (or new, where only its folder could not be
/// synchronised), and the ranks may go on.
std::optional<Error> saveCheckpoint(Executor& executor, const std::string& path,
                                    const CheckpointInfo& info);

/// Every rank calls it. Throws Error(input) naming the file and what is wrong: a tensor that is
/// missing, of another type or damaged, metadata that is missing, a checkpoint of another model.
CheckpointInfo loadCheckpoint(Executor& executor, const std::string& path,
                              const std::string& fingerprint);

/// Every rank calls it: weights from any safetensors file with the parameters' names, of any
/// floating-point type. Throws Error(input) naming the file and the tensor that is missing, of
/// another shape, or (fused queries, keys and values of another program) perhaps in another order.
void loadWeights(Executor& executor, const std::string& path);

}  // namespace meshplan
