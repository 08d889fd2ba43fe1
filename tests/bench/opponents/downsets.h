// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace meshplan {

/// All sets of nodes of an acyclic graph that hold, with a node, everything behind it: what may
/// be left of a model once some first stages are cut off. Numbered by size; 0 is the empty set and
/// the last one is the whole graph. Throws Error(infeasible) beyond 200,000 sets.
class Downsets {
 public:
  struct Step {
    uint32_t node = 0, superset = 0;
  };

  /// `edges` are pairs (from, to) of node numbers below `nodes`.
  Downsets(size_t nodes, const std::vector<std::pair<uint32_t, uint32_t>>& edges);

  size_t size() const { return steps_.size(); }
  bool contains(size_t set, uint32_t node) const {
    return (bits_[set * words_ + node / 64] >> (node % 64) & 1) != 0;
  }
  /// The sets that hold one node more.
  const std::vector<Step>& steps(size_t set) const { return steps_[set]; }
  /// The nodes of `larger` that are not in `smaller`, ascending.
  std::vector<uint32_t> difference(size_t larger, size_t smaller) const;

 private:
  size_t nodes_, words_;
  std::vector<uint64_t> bits_;  // [set][word]
  std::vector<std::vector<Step>> steps_;
};

}  // namespace meshplan
