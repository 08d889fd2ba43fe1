// SPDX-License-Identifier: Apache-2.0
#include "core/plan_shardings.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/nearest.h"

namespace meshplan {
namespace {

LoopNest nestOf(const Graph& graph, OpId id) {
  const Operator& op = graph.op(id);
  const auto inputs = graph.inputTypes(id), outputs = graph.outputTypes(id);
  return op.def->nest({op.attributes, inputs, outputs});
}

/// Axis names as the plan file has them: the second "d" of a nest is "d#2".
std::vector<std::string> axisNames(const LoopNest& nest) {
  std::vector<std::string> names;
  for (const Axis& axis : nest.axes) {
    const auto twins = std::count_if(nest.axes.begin(), nest.axes.begin() + names.size(),
                                     [&](const Axis& a) { return a.name == axis.name; });
    names.push_back(twins == 0 ? std::string(axis.name)
                               : fmt::format("{}#{}", axis.name, twins + 1));
  }
  return names;
}

std::string choiceName(const std::vector<std::string>& axes, int8_t choice) {
  if (choice == kReplicated) return "replicated";
  if (choice == kPartialThrough) return "partial";
  return axes.at(static_cast<size_t>(choice));
}

std::vector<BlockSharding::Choice> choicesOf(const Plan& plan, const Graph& graph,
                                             const Block& block) {
  std::vector<BlockSharding::Choice> choices;
  for (uint32_t i = block.begin; i < block.end; ++i) {
    const OperatorStrategy& s = plan.strategies.at(i);
    const auto axes = axisNames(nestOf(graph, OpId(i)));
    choices.push_back(
        {graph.op(OpId(i)).name, choiceName(axes, s.tensor), choiceName(axes, s.expert)});
  }
  return choices;
}

/// Blocks of one class whose operators have equal strategies.
bool sameStrategies(const Plan& plan, const Block& a, const Block& b) {
  const auto begin = plan.strategies.begin();
  return a.blockClass == b.blockClass &&
         std::equal(begin + a.begin, begin + a.end, begin + b.begin, begin + b.end);
}

Error badSharding(std::string problem, std::string remedy) {
  return Error(ErrorKind::input, std::move(problem), std::move(remedy)).at("shardings");
}

int8_t parseChoice(const std::vector<std::string>& axes, const std::string& name,
                   const std::string& op) {
  if (name == "replicated") return kReplicated;
  if (name == "partial") return kPartialThrough;
  const auto at = std::find(axes.begin(), axes.end(), name);
  if (at != axes.end()) return static_cast<int8_t>(at - axes.begin());
  std::vector<std::string_view> known(axes.begin(), axes.end());
  known.push_back("replicated");
  throw badSharding(fmt::format("operator '{}' has no axis '{}'", op, name),
                    didYouMean(name, known, fmt::format("one of {}", fmt::join(known, ", "))));
}

void resolveBlock(const BlockSharding& sharding, const Graph& graph, const Block& block,
                  std::vector<OperatorStrategy>& strategies) {
  if (sharding.choices.size() != block.size())
    throw badSharding(fmt::format("block '{}' has {} operators, the file lists {}",
                                  blockName(graph, block), block.size(), sharding.choices.size()),
                      "plan the model again");
  for (uint32_t k = 0; k < block.size(); ++k) {
    const BlockSharding::Choice& choice = sharding.choices[k];
    const OpId id(block.begin + k);
    const auto axes = axisNames(nestOf(graph, id));
    strategies[id.index()] = {parseChoice(axes, choice.tensor, choice.op),
                              parseChoice(axes, choice.expert, choice.op)};
  }
}

}  // namespace

std::vector<BlockSharding> describeShardings(const Plan& plan, const Graph& graph,
                                             const BlockChain& chain) {
  std::vector<BlockSharding> shardings;
  for (uint32_t b = 0; b < chain.blocks.size(); ++b) {
    const auto equal = std::find_if(shardings.begin(), shardings.end(), [&](const auto& s) {
      return sameStrategies(plan, chain.blocks[s.blocks.front()], chain.blocks[b]);
    });
    if (equal != shardings.end())
      equal->blocks.push_back(b);
    else
      shardings.push_back({{b}, choicesOf(plan, graph, chain.blocks[b])});
  }
  return shardings;
}

std::vector<OperatorStrategy> resolveShardings(const std::vector<BlockSharding>& shardings,
                                               const Graph& graph, const BlockChain& chain) {
  std::vector<OperatorStrategy> strategies(chain.blocks.empty() ? 0 : chain.blocks.back().end);
  std::vector<bool> seen(chain.blocks.size(), false);
  for (const BlockSharding& sharding : shardings)
    for (uint32_t b : sharding.blocks) {
      if (b >= seen.size() || seen[b])
        throw badSharding(
            fmt::format("block {} is {}", b, b < seen.size() ? "listed twice" : "not in the model"),
            fmt::format("each of the blocks 0 to {} once", seen.size() - 1));
      seen[b] = true;
      resolveBlock(sharding, graph, chain.blocks[b], strategies);
    }
  const auto missing = std::find(seen.begin(), seen.end(), false);
  if (missing != seen.end())
    throw badSharding(fmt::format("block {} is missing", missing - seen.begin()),
                      fmt::format("each of the blocks 0 to {} once", seen.size() - 1));
  return strategies;
}

}  // namespace meshplan
