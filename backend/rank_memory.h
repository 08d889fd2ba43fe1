// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "backend/rank_device.h"
#include "backend/rank_groups.h"
#include "core/program.h"

namespace meshplan {

/// The arena of one rank: weights, gradients, optimizer state, saved activations and scratch at the
/// offsets of its rank class.
class RankMemory {
 public:
  RankMemory(const RankClass& rankClass, RankGroups& groups, RankDevice& device);

  std::byte* buffer(const Routine& routine, const Call& call, BufferIndex buffer);

  const std::vector<ParameterPlace>& parameters() const { return rankClass_.parameters; }
  size_t indexOf(uint32_t tensor) const { return indexOf_.at(tensor); }
  const ParameterPlace& parameter(uint32_t tensor) const {
    return rankClass_.parameters[indexOf(tensor)];
  }
  std::byte* weights(const ParameterPlace& p) const { return arena_ + p.weights; }
  std::byte* gradient(const ParameterPlace& p) const { return arena_ + p.gradient; }
  /// The elements that this rank updates: all, or its share of them, from `shareStart` on.
  int64_t shareStart(const ParameterPlace& p) const;
  std::byte* ownWeights(const ParameterPlace& p) const;
  std::byte* ownGradient(const ParameterPlace& p) const;
  std::byte* state(int64_t offset) const { return offset < 0 ? nullptr : arena_ + offset; }

  Bytes planned() const { return rankClass_.arenaBytes; }
  /// The end of the furthest byte that anything lies at so far.
  Bytes used() const { return Bytes(used_); }

 private:
  void reach(int64_t offset, int64_t bytes) { used_ = std::max(used_, offset + bytes); }
  void reachParameters();

  const RankClass& rankClass_;
  RankGroups& groups_;
  std::byte* arena_;
  int64_t used_ = 0;
  std::map<uint32_t, size_t> indexOf_;
  std::map<int32_t, SlotPool> slots_;
};

}  // namespace meshplan
