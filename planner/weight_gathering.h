// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/plan.h"
#include "planner/chunk_parameters.h"
#include "planner/routine_builder.h"

namespace meshplan {

/// ZeRO-3's weights of the block that is being lowered: gathered a block at a time while the block
/// before it runs, as FSDP does, or one parameter at a time when it is needed
/// (Plan::gatherSingly), and dropped after it.
class WeightGathering {
 public:
  WeightGathering(const TrainingModel& model, const Plan& plan, const ChunkParameters& parameters)
      : model_(model), plan_(plan), parameters_(parameters) {}

  /// Forgets the blocks of the routine before.
  void begin() { blockEnds_.clear(); }
  /// Appends the gathers of a block, unless they go singly; does nothing below ZeRO-3.
  void beginBlock(RoutineBuilder& b, size_t block);
  /// The instructions of the block last gathered end at the builder's size.
  void endBlock(const RoutineBuilder& b) { blockEnds_.push_back(b.size() - 1); }

  /// Makes an instruction wait for and read what it needs of the gathered weights, and says where
  /// they are. A single gather comes before the first reader, when all computing so far has ended.
  Operand read(RoutineBuilder& b, TensorId parameter, Instruction& instruction,
               std::vector<int32_t>& waits);

 private:
  struct Gathered {
    MeshAxes replicas;
    std::vector<TensorId> parameters;
    Bytes bytes;
    int32_t ready = -1;
    BufferIndex buffer = 0;
  };
  std::vector<Gathered> gathersOf(size_t block) const;
  void gather(RoutineBuilder& b, Gathered& gathered, int32_t notBefore, uint8_t drains) const;

  const TrainingModel& model_;
  const Plan& plan_;
  const ChunkParameters& parameters_;
  std::vector<int32_t> blockEnds_;  // last instruction of each block lowered so far
  size_t block_ = 0;
  std::vector<Gathered> gathered_;
};

}  // namespace meshplan
