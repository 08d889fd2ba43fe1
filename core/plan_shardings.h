// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/blocks.h"
#include "core/plan.h"

namespace meshplan {

/// How equal blocks are split: the loop-nest axis of each operator on each mesh axis, by name.
struct BlockSharding {
  struct Choice {
    std::string op;              // the operator's name in the first of the blocks
    std::string tensor, expert;  // an axis name, "replicated" or "partial"
    bool operator==(const Choice&) const = default;
  };
  std::vector<uint32_t> blocks;  // ascending
  std::vector<Choice> choices;   // one per operator of a block, in order
  bool operator==(const BlockSharding&) const = default;
};

/// The strategies of a plan by block and name, equal blocks written once.
std::vector<BlockSharding> describeShardings(const Plan& plan, const Graph& graph,
                                             const BlockChain& chain);
/// The reverse: one strategy per forward operator of `graph`. Throws Error(input) when a block, an
/// operator or an axis is not in the model.
std::vector<OperatorStrategy> resolveShardings(const std::vector<BlockSharding>& shardings,
                                               const Graph& graph, const BlockChain& chain);

}  // namespace meshplan
