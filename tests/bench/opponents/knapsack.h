// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

namespace meshplan {

/// One option per item has to be taken.
struct KnapsackOption {
  double time = 0, memory = 0;
  friend auto operator<=>(const KnapsackOption&, const KnapsackOption&) = default;
};
using KnapsackItems = std::vector<std::vector<KnapsackOption>>;

struct KnapsackAnswer {
  enum class Kind { found, none, undecided } kind = Kind::none;
  std::vector<uint32_t> choices;  // per item, when found
  /// Whatever was asked: no choice that fits in memory takes less than `atLeast`, and one takes
  /// `atMost`.
  double atLeast = 0, atMost = 0;
};

/// Whether options can be taken whose times sum to at most `time` and whose memory to at most
/// `memory`. Exact: depth-first with the linear relaxation (Sinha and Zoltners 1979) as bound and
/// equal items taken in one order only; after `maxVisits` nodes it gives up as undecided.
KnapsackAnswer chooseWithin(const KnapsackItems& items, double time, double memory,
                            uint64_t maxVisits = 100'000);

}  // namespace meshplan
