// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "core/graph.h"
#include "core/program.h"

namespace meshplan {

/// What people call an instruction and its parts, in traces, tables and messages.

std::string axesText(MeshAxes axes);  // "tensor", "expert+data"
/// "forward", "recompute", "backward" or "update".
std::string_view phaseText(const Routine& routine, const Instruction& in);
/// The operator's name, else what it is ("MatMul"); empty when the graph has no such operator.
std::string operatorText(const Graph& graph, OpId op);
/// "fc1", "all-reduce tensor", "send to stage 1": what has an operator is called as it. A
/// computation of no operator is called as its
/// phase.
std::string instructionText(const Graph& graph, const Routine& routine, const Instruction& in);

}  // namespace meshplan
