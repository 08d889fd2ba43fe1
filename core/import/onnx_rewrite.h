// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/graph.h"

namespace meshplan {

/// An operand of a rewriting step: a tensor of the old graph, or an output of an earlier step.
struct StepInput {
  TensorId tensor;
  int step = -1;
  StepInput(TensorId t) : tensor(t) {}
  static StepInput ofStep(int i) {
    StepInput input{TensorId()};
    input.step = i;
    return input;
  }
};

struct Step {
  std::string def;
  std::vector<StepInput> inputs;
  Attributes attributes;
};

/// What an operator is replaced by: a chain of steps, the last of which makes its output 0.
struct Replacement {
  std::vector<Step> steps;
};

using Replacements = std::map<OpId, Replacement>;

/// The graph with operators replaced, without those that nothing leads to an output from.
/// `map[old tensor]` is the new tensor, invalid where it is gone.
Graph rewrite(const Graph& graph, const Replacements& replacements, std::vector<TensorId>& map);

/// Which operators lead to an output.
std::vector<bool> liveOperators(const Graph& graph, const Replacements& replacements);

}  // namespace meshplan
