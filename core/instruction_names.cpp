// SPDX-License-Identifier: Apache-2.0
#include "core/instruction_names.h"

#include <fmt/core.h>

namespace meshplan {

std::string axesText(MeshAxes axes) {
  std::string out;
  for (int a = 0; a < kMeshAxes; ++a)
    if (axes.has(MeshAxis(a)))
      out += (out.empty() ? "" : "+") + std::string(meshAxisName(MeshAxis(a)));
  return out;
}

std::string_view phaseText(const Routine& routine, const Instruction& in) {
  return in.recomputed ? "recompute" : routineKindName(routine.kind);
}

std::string operatorText(const Graph& graph, OpId id) {
  if (!id.valid() || id.index() >= graph.operatorCount()) return "";
  const Operator& op = graph.op(id);
  return op.name.empty() && op.def ? std::string(op.def->name) : op.name;
}

std::string instructionText(const Graph& graph, const Routine& routine, const Instruction& in) {
  if (const std::string name = operatorText(graph, in.op); !name.empty()) return name;
  switch (in.kind) {
    case Instruction::Kind::compute:
      return std::string(phaseText(routine, in));
    case Instruction::Kind::collective:
      return fmt::format("{} {}", collectiveName(in.collective), axesText(in.axes));
    case Instruction::Kind::send:
      return fmt::format("send to stage {}", in.peerStage);
    case Instruction::Kind::receive:
      return fmt::format("receive from stage {}", in.peerStage);
  }
  return "";
}

}  // namespace meshplan
