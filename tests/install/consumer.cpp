// SPDX-License-Identifier: Apache-2.0
// Uses the installed headers and libraries, from the core up to the planner.
#include <cstdio>

#include "core/graph.h"
#include "planner/search/strategy_filter.h"

int main() {
  meshplan::Graph graph;
  const auto x = graph.addInput("x", {meshplan::DType::f32, {8, 16}});
  const auto w = graph.addParameter("w", {meshplan::DType::f32, {16, 4}});
  graph.addOperator("MatMul", {x, w}, {}, "product");
  const auto filter = meshplan::parseStrategy("tp=2");
  std::printf("%lld parameters, tp=%lld\n", static_cast<long long>(graph.parameterCount()),
              static_cast<long long>(filter.tensor.min));
  return graph.parameterCount() == 64 && filter.tensor.min == 2 ? 0 : 1;
}
