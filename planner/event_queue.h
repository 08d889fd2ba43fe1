// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace meshplan {

/// The next event of a fixed set of slots, eight per group: a tournament over the groups' earliest
/// times. Setting a time and reading the earliest allocate nothing; equal times come in slot order.
class EventQueue {
 public:
  static constexpr size_t kSlots = 8;  // per group
  static constexpr double kNever = std::numeric_limits<double>::infinity();

  explicit EventQueue(size_t groups) {
    while (leaves_ < groups) leaves_ *= 2;
    times_.resize(leaves_);
    for (auto& group : times_) group.fill(kNever);
    best_.assign(2 * leaves_, kNever);
  }

  void set(size_t group, size_t slot, double time) {
    times_[group][slot] = time;
    double earliest = times_[group][0];
    for (size_t s = 1; s < kSlots; ++s)
      earliest = times_[group][s] < earliest ? times_[group][s] : earliest;
    size_t node = leaves_ + group;
    if (best_[node] == earliest) return;
    best_[node] = earliest;
    while (node > 1) {
      node /= 2;
      const double lower =
          best_[2 * node] <= best_[2 * node + 1] ? best_[2 * node] : best_[2 * node + 1];
      if (best_[node] == lower) return;
      best_[node] = lower;
    }
  }

  /// The earliest time, kNever when there is none.
  double time() const { return best_[1]; }

  struct Slot {
    size_t group, slot;
  };
  /// The slot of the earliest time; only when there is one.
  Slot first() const {
    size_t node = 1;
    while (node < leaves_) node = 2 * node + (best_[2 * node] == best_[1] ? 0 : 1);
    size_t slot = 0;
    while (times_[node - leaves_][slot] != best_[1]) ++slot;
    return {node - leaves_, slot};
  }

 private:
  size_t leaves_ = 1;
  std::vector<std::array<double, kSlots>> times_;
  std::vector<double> best_;  // of a binary tree, root at 1
};

}  // namespace meshplan
