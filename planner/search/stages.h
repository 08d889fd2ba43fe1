// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/blocks.h"
#include "core/plan.h"

namespace meshplan {

/// Cutting a chain of blocks into consecutive, non-empty chunks.
struct CutProblem {
  std::vector<double> time;    // per block: seconds of one micro-batch, forward and backward
  std::vector<double> weight;  // per block: bytes that stay (parameters and their state)
  std::vector<double> saved;   // per block: bytes kept per micro-batch in flight
  /// Per chunk: bytes that weights + inFlight x saved may take, and the micro-batches it holds.
  std::vector<double> capacity, inFlight;
};

/// The starts of the chunks (chunks + 1 entries) that make the slowest chunk fastest and fit; empty
/// when nothing fits. With it (m - 1) max + sum, the time of a pipeline, is least too, as the sum
/// does not depend on the cuts. Exact: the bottleneck is found by bisection over the chunk times
/// that occur. For a given bottleneck every limit is monotone, so taking as many blocks as possible
/// into each chunk finds an answer nearly always; where it does not (a chunk of large capacity must
/// be left a block that fits no other), a dynamic programme over chunks and cuts decides, up to
/// 100,000 of their products.
std::vector<int64_t> cutStages(const CutProblem& problem);

/// The cut that runtimes make when nobody tells them otherwise (Megatron-LM, DeepSpeed's
/// `uniform`): equally many of the repeated blocks in each chunk, what comes before them in the
/// first and what follows in the last. Empty: too few blocks.
std::vector<int64_t> evenStages(const BlockChain& chain, int64_t chunks);

/// The starts of chunks of so many blocks each; empty when they are not `blocks` together.
std::vector<int64_t> cutOf(const std::vector<int64_t>& blocksPerChunk, int64_t blocks);
/// The other way round.
std::vector<int64_t> blocksPerChunk(const std::vector<int64_t>& starts);

/// "stages=13:12:12:13", as --strategy takes it.
std::string stagesText(const Plan& plan);

/// What dragging a block to another chunk means, as chunks are runs of consecutive blocks: it goes
/// with all blocks between it and the edge of its chunk on that side; chunks between keep their
/// number of blocks and shift. Throws Error(usage) when it would leave its chunk empty.
std::vector<int64_t> moveBlock(const std::vector<int64_t>& starts, int64_t block, int64_t chunk);

}  // namespace meshplan
