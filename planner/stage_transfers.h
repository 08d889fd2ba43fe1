// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/plan.h"
#include "planner/routine_builder.h"

namespace meshplan {

/// An activation that crosses from one chunk to the next, or its gradient the other way, and where
/// it is wanted.
struct Crossing {
  TensorId tensor;
  LocalOperator::Where where;
};

/// The sends and receives between chunks. What all ranks of a tensor group hold travels in slices,
/// one per rank, and is gathered on arrival, because the network between nodes is slower than the
/// fabric inside them (Narayanan et al. 2021, arXiv:2104.04473, section 4.1, scatter/gather). Under
/// Plan::blockingTransfers a send waits for the computation before it, and so does a receive, but
/// of interleaved schedules, which post receives before the call that uses them.
class StageTransfers {
 public:
  StageTransfers(const Graph& graph, const Plan& plan, LayerCache& layers)
      : graph_(graph), plan_(plan), layers_(layers) {}

  /// Appends a receive and what brings the tensors where they are wanted; returns the last of it.
  int32_t receive(RoutineBuilder& b, int64_t boundary, bool backward,
                  const std::vector<Crossing>& tensors, Versions& into);
  void send(RoutineBuilder& b, int64_t boundary, bool backward,
            const std::vector<TensorId>& tensors, const std::vector<Version>& versions);
  /// The routine, whose first computation waits for all transfers before it if they block.
  Routine settled(Routine routine) const;

 private:
  using Where = LocalOperator::Where;

  Where travelWhere(TensorId t, Where where) const;
  Instruction transfer(Instruction::Kind kind, int64_t boundary, bool backward) const;

  const Graph& graph_;
  const Plan& plan_;
  LayerCache& layers_;
};

}  // namespace meshplan
