// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/graph.h"
#include "core/program.h"
#include "core/trace_event.h"
#include "gui/palette.h"

namespace meshplan::gui {

/// The program that stands behind a timeline that was read from a file: routines by phase and
/// chunk, in each an instruction for every name and kind that occurs, and in the graph an operator
/// for every name. It says what spans are called, and nothing of what waits for what.
class TraceProgram {
 public:
  /// Where a slice of a process stands in it.
  struct Place {
    uint32_t call = 0, instruction = 0;
    SpanKind kind = SpanKind::forward;
    Instruction::Kind instructionKind = Instruction::Kind::compute;
  };
  Place placeOf(const TraceEvent& slice, size_t process);

  /// With the calls of process p in rank class rank[p], where that is below `classes`.
  Program program(const std::vector<size_t>& rank, size_t classes) const;
  Graph graph() const { return graph_; }

 private:
  /// What equal slices have in common.
  struct Known {
    uint32_t routine = 0, instruction = 0;
    SpanKind kind = SpanKind::forward;
    Instruction::Kind instructionKind = Instruction::Kind::compute;
  };

  const Known& knownOf(const TraceEvent& slice);
  Known learn(const TraceEvent& slice);
  uint32_t callOf(size_t process, uint32_t routine, int64_t microBatch);

  Graph graph_;
  std::unordered_map<std::string, OpId> operators_;
  std::map<std::pair<Routine::Kind, int32_t>, uint32_t> routineIndex_;
  std::vector<Routine> routines_;
  std::unordered_map<std::string, Known> known_;
  std::string key_;
  std::vector<std::vector<Call>> calls_;  // by process
  std::vector<std::unordered_map<uint64_t, uint32_t>> callIndex_;
};

/// What a slice is, from Meshplan's phases and categories, else from names that PyTorch's profiler
/// and NCCL use; forward where nothing tells.
SpanKind traceSpanKind(const TraceEvent& slice);

}  // namespace meshplan::gui
