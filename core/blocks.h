// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/graph.h"

namespace meshplan {

/// A run of consecutive forward operators [begin, end) between two places where the model can be
/// cut: the atoms that pipeline stages are made of. Blocks of one class are structurally equal:
/// operator i of one is operator i of another, with equal attributes, types and wiring.
struct Block {
  uint32_t begin = 0, end = 0;
  uint32_t blockClass = 0;
  uint32_t size() const { return end - begin; }
};

struct BlockClass {
  uint32_t first = 0;  // index of its first block
  uint32_t count = 0;
};

/// The model as a chain. `crossing[i]` are the activations that live across the cut after block i
/// (the last is empty).
struct BlockChain {
  std::vector<Block> blocks;
  std::vector<BlockClass> classes;
  std::vector<std::vector<TensorId>> crossing;
  /// Per tensor: an activation that alone crosses a possible cut at the edge of, or inside, a
  /// repeated block: the residual stream.
  std::vector<bool> trunk;

  size_t blockOf(OpId forwardOp) const;
};

/// Cuts the first `forwardOps` operators of the graph where at most one activation crosses, not
/// counting those that live across much of the model (an encoder's output) and never between logits
/// and loss, then folds the smallest period of a repeated run of cuts into one block: a transformer
/// layer, a residual block. Linear in operators x longest period (64).
BlockChain findBlocks(const Graph& graph, size_t forwardOps);

/// "model.layers.3": the longest common module prefix of the block's operators, or its first
/// operator's name.
std::string blockName(const Graph& graph, const Block& block);

/// A 64-bit fingerprint of structure and types of the forward graph: plan files carry it.
uint64_t graphFingerprint(const Graph& graph, size_t forwardOps);

}  // namespace meshplan
