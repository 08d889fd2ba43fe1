// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace meshplan {

/// What a choice costs: seconds of a micro-batch, bytes kept per micro-batch, bytes of parameters.
struct ChoiceCost {
  double time = 0, activations = 0, parameters = 0;
  ChoiceCost& operator+=(const ChoiceCost& o) {
    time += o.time;
    activations += o.activations;
    parameters += o.parameters;
    return *this;
  }
};

/// Variables with small domains, a cost per value and a cost per pair of values on some pairs of
/// variables. An infinite time forbids a value or a pair.
struct PairwiseProblem {
  struct Edge {
    uint32_t a = 0, b = 0;          // a != b
    std::vector<ChoiceCost> costs;  // [valueOfA * domain(b) + valueOfB]
  };
  std::vector<std::vector<ChoiceCost>> unary;  // [variable][value]
  std::vector<Edge> edges;
};

struct ParetoPoint {
  ChoiceCost cost;
  std::vector<uint16_t> values;  // per variable
};

/// The Pareto front of (time, activations, parameters) over all assignments, by variable
/// elimination in min-degree order: exact, and fast because networks have treewidth 2-4. Ascending
/// in time; empty when every assignment is forbidden. Fronts inside the elimination are cut to
/// `maxFront` points; the point of least time always stays exact. Throws Error(usage) when a table
/// would exceed 2^24 entries.
std::vector<ParetoPoint> eliminate(const PairwiseProblem& problem, size_t maxFront = 64);

}  // namespace meshplan
