// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/graph.h"
#include "core/timeline.h"

namespace meshplan {

/// Seconds predicted beside seconds measured.
struct Compared {
  Seconds predicted, measured;

  Seconds difference() const { return predicted - measured; }  // above 0: predicted too long
  /// predicted / measured - 1; 0 when both are 0, infinite when only nothing was measured.
  double relativeError() const;
  Compared& operator+=(const Compared& o);
  bool operator==(const Compared&) const = default;
};

/// `share` of every row below is its |difference| over the sum of those of all rows of its table:
/// shares add up to 1, or are all 0 when nothing differs. Rows are in order of falling
/// |difference|, equal ones in program order.

struct ComparedInstruction {
  uint16_t rankClass = 0;
  uint32_t call = 0, instruction = 0;
  bool predicted = false, measured = false;  // whether its span is in that timeline
  Compared start, time;
  double share = 0;
};

/// All calls of an operator in one phase, on one rank of its rank class.
struct ComparedOperator {
  OpId op;
  std::string name, type;
  std::string phase;  // "forward", "recompute", "backward", "backward weight", "update"
  int64_t calls = 0;
  Compared time;
  double share = 0;
};

/// All collectives of a kind on groups of these axes with as many bytes, or all sends or receives
/// of a size, on one rank of each rank class.
struct ComparedCollective {
  Instruction::Kind kind = Instruction::Kind::collective;
  CollectiveKind collective = CollectiveKind::none;  // sendReceive for sends and receives
  MeshAxes axes;
  Bytes bytes;  // each; S of core/collective.h
  int64_t calls = 0;
  Compared time;  // of all of them
  double share = 0;
};

/// One rank class; `compute` to `bubble` add up to the step on both sides (to more where the spans
/// of the compute stream do not fit in it).
struct ComparedStage {
  uint16_t rankClass = 0;
  Compared busy;  // compute, optimizer and exposed communication
  Compared compute, optimizer, exposedCommunication, bubble;
  Compared recompute, communication;  // as of TimeByCategory
  double share = 0;                   // of `busy`
};

/// Bytes of one category at the peak of a rank class.
struct ComparedMemory {
  uint16_t rankClass = 0;
  MemoryCategory category = MemoryCategory::weights;
  Bytes predicted, measured;
};

/// Two timelines of the same program, say simulated and measured, instruction by instruction.
struct TimelineDiff {
  Compared step;
  Compared instructions;  // the sum over all of them
  std::vector<ComparedInstruction> byInstruction;
  std::vector<ComparedOperator> byOperator;
  std::vector<ComparedCollective> byCollective;
  std::vector<ComparedStage> byStage;
  std::vector<ComparedMemory> byMemory;  // by rank class and category; categories with any bytes
};

/// Spans are matched by (rank class, call, instruction); those of a call or instruction that the
/// program lacks are refused with Error(usage). `graph` names the program's operators.
TimelineDiff diffTimelines(const Program& program, const Graph& graph, const Timeline& predicted,
                           const Timeline& measured);

/// ComparedOperator::phase of an instruction.
std::string comparedPhase(const Graph& graph, const Routine& routine, const Instruction& in);

/// A rank class' step by category, from its spans. `Timeline::rankClasses` need not be filled.
/// Without what only a simulator knows (`host`).
TimeByCategory timeByCategory(const Program& program, const Timeline& timeline, size_t rankClass);

}  // namespace meshplan
