// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "backend/communicator.h"
#include "core/program.h"

namespace meshplan {

/// One rank's communicators: a group for every set of mesh axes (one for those that split the ranks
/// alike: over NCCL each costs memory), one for each parameter that several stages share, and one
/// per direction between stages, so that messages of opposite passes cannot overtake each other.
/// All are made at once, in the same order on all ranks: groups made later, when they are needed,
/// are a known source of deadlocks.
class RankGroups {
 public:
  /// Throws Error(usage) when the world has another size than the mesh.
  RankGroups(const Program& program, Communicator& world) : RankGroups(program, world, world) {}
  /// `data`: the same ranks, over which the groups exchange what lies in the devices' memory.
  RankGroups(const Program& program, Communicator& world, Communicator& data);

  const MeshCoordinates& coordinates() const { return coordinates_; }
  int64_t coordinate(MeshAxis a) const { return coordinates_[static_cast<size_t>(a)]; }
  int stage() const { return static_cast<int>(coordinate(MeshAxis::pipeline)); }

  /// The group of a collective instruction.
  Communicator& of(const Instruction& instruction);
  Communicator& over(MeshAxes axes) { return *over_.at(axes.bits); }
  /// Between stages: the rank of the same coordinates at `stage`, and the group that numbers it for
  /// a send or receive. Messages around the end of an interleaved pipeline have groups of their
  /// own: where those of one group run one after the other, as over NCCL, a ring would wait for
  /// itself.
  Communicator& transfers(const Instruction& instruction);
  int peer(int stage) const;
  /// For what lies in the hosts' memory.
  Communicator& world() { return world_; }
  bool canCapture() const { return data_.size() == 1 || data_.canCapture(); }

 private:
  Communicator &world_, &data_;
  MeshShape mesh_;
  MeshCoordinates coordinates_;
  std::vector<std::unique_ptr<Communicator>> groups_;
  std::map<uint8_t, Communicator*> over_;
  std::map<int32_t, std::unique_ptr<Communicator>> tied_;
  std::map<std::pair<bool, bool>, std::unique_ptr<Communicator>> transfers_;  // backward, around
};

}  // namespace meshplan
