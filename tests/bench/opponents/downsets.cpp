// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/opponents/downsets.h"

#include <map>

#include "core/error.h"

namespace meshplan {
namespace {

constexpr size_t kMostSets = 200'000;

}  // namespace

Downsets::Downsets(size_t nodes, const std::vector<std::pair<uint32_t, uint32_t>>& edges)
    : nodes_(nodes), words_((nodes + 63) / 64) {
  std::vector<std::vector<uint32_t>> behind(nodes);
  for (const auto& [from, to] : edges) behind[from].push_back(to);
  bits_.assign(words_, 0);
  steps_.emplace_back();
  // Level by level: all sets of one size are known before the first larger one is numbered.
  for (size_t first = 0; first < steps_.size();) {
    const size_t end = steps_.size();
    std::map<std::vector<uint64_t>, uint32_t> known;
    for (size_t set = first; set < end; ++set)
      for (uint32_t v = 0; v < nodes; ++v) {
        if (contains(set, v)) continue;
        bool closed = true;
        for (uint32_t w : behind[v]) closed = closed && contains(set, w);
        if (!closed) continue;
        std::vector<uint64_t> larger(bits_.begin() + static_cast<ptrdiff_t>(set * words_),
                                     bits_.begin() + static_cast<ptrdiff_t>((set + 1) * words_));
        larger[v / 64] |= uint64_t{1} << (v % 64);
        const auto [at, added] = known.emplace(larger, static_cast<uint32_t>(steps_.size()));
        if (added) {
          if (steps_.size() == kMostSets)
            throw Error(ErrorKind::infeasible, "the layers are too entangled for all cuts",
                        "merge layers that run side by side");
          bits_.insert(bits_.end(), larger.begin(), larger.end());
          steps_.emplace_back();
        }
        steps_[set].push_back({v, at->second});
      }
    first = end;
  }
}

std::vector<uint32_t> Downsets::difference(size_t larger, size_t smaller) const {
  std::vector<uint32_t> nodes;
  for (size_t w = 0; w < words_; ++w)
    for (uint64_t left = bits_[larger * words_ + w] & ~bits_[smaller * words_ + w]; left != 0;
         left &= left - 1)
      nodes.push_back(static_cast<uint32_t>(w * 64 + static_cast<size_t>(__builtin_ctzll(left))));
  return nodes;
}

}  // namespace meshplan
