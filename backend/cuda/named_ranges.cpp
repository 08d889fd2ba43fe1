// SPDX-License-Identifier: Apache-2.0
#include "backend/cuda/named_ranges.h"

#include <fmt/core.h>

#include "core/instruction_names.h"

namespace meshplan {

std::vector<std::string> rangeNames(const Program& program, int stage, const Graph& graph) {
  std::vector<std::string> names;
  for (const Call& call : program.rankClasses[static_cast<size_t>(stage)].calls) {
    const Routine& routine = program.routines[call.routine];
    for (const Instruction& in : routine.instructions)
      names.push_back(fmt::format("{} {}, micro-batch {}", instructionText(graph, routine, in),
                                  phaseText(routine, in), call.microBatch));
  }
  return names;
}

}  // namespace meshplan
