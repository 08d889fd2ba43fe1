// SPDX-License-Identifier: Apache-2.0
#include "core/blocks.h"

#include <algorithm>
#include <unordered_map>

#include "core/hash.h"

namespace meshplan {
namespace {

constexpr size_t kMaxPeriod = 64;
// A tensor that lives across more than this share of the model does not stop a cut: stages pass it
// on.
constexpr size_t kLongRangeShare = 8;

/// Structure of one operator of the segment that starts at `begin`. An input is named by the
/// distance to its producer inside the segment; at most one short-lived activation enters a
/// segment, so the others need only a marker.
uint64_t hashOperator(const Graph& graph, size_t index, size_t begin,
                      const std::vector<bool>& longRange) {
  constexpr uint64_t kEnters = uint64_t{1} << 40, kEntersFromAfar = kEnters + 1;
  const Operator& op = graph.op(OpId(index));
  Hash h;
  h.add(op.def->name);
  h.add(static_cast<uint64_t>(op.repeat));
  for (const auto& [name, value] : op.attributes) {
    h.add(std::string_view(name));
    h.add(value);
  }
  for (TensorId id : op.inputs) {
    const Tensor& t = graph.tensor(id);
    h.add(static_cast<uint64_t>(t.kind));
    if (!t.producer.valid())
      h.add(0);
    else if (t.producer.index() >= begin)
      h.add(index - t.producer.index());
    else
      h.add(longRange[id.index()] ? kEntersFromAfar : kEnters);
    h.add(t.type);
  }
  for (TensorId id : op.outputs) h.add(graph.tensor(id).type);
  return h.value();
}

struct Lifetime {
  TensorId tensor;
  size_t begin, end;  // crosses cuts begin < position <= end
};

bool isLong(const Lifetime& l, size_t forwardOps) {
  return l.end - l.begin > std::max<size_t>(kMaxPeriod, forwardOps / kLongRangeShare);
}

std::vector<Lifetime> activationLifetimes(const Graph& graph, size_t forwardOps) {
  std::vector<Lifetime> lifetimes;
  for (size_t i = 0; i < graph.tensorCount(); ++i) {
    const Tensor& t = graph.tensor(TensorId(i));
    if (!t.producer.valid() || t.producer.index() >= forwardOps) continue;
    size_t last = t.producer.index();
    for (OpId c : t.consumers)
      if (c.index() < forwardOps) last = std::max(last, c.index());
    if (last > t.producer.index()) lifetimes.push_back({TensorId(i), t.producer.index(), last});
  }
  return lifetimes;
}

/// The first operator after the one that makes a loss' logits: a cut in between would send logits.
size_t afterLogits(const Graph& graph, const Operator& loss) {
  OpId producer = graph.tensor(loss.inputs[0]).producer;
  while (producer.valid()) {
    const Operator& op = graph.op(producer);
    const bool passesOn =
        op.def->opClass == OpClass::elementwise || op.def->opClass == OpClass::view;
    if (!passesOn || !graph.tensor(op.inputs[0]).producer.valid()) return producer.index() + 1;
    producer = graph.tensor(op.inputs[0]).producer;
  }
  return 0;
}

/// Positions p such that the model can be cut in front of operator p.
std::vector<size_t> cutPositions(const Graph& graph, const std::vector<Lifetime>& lifetimes,
                                 size_t forwardOps) {
  std::vector<int> crossing(forwardOps + 1);
  for (const Lifetime& l : lifetimes) {
    if (isLong(l, forwardOps)) continue;
    ++crossing[l.begin + 1];
    --crossing[l.end + 1 <= forwardOps ? l.end + 1 : forwardOps];
  }
  std::vector<bool> whole(forwardOps + 1);
  for (size_t i = 0; i < forwardOps; ++i)
    if (graph.op(OpId(i)).def->opClass == OpClass::loss)
      for (size_t p = afterLogits(graph, graph.op(OpId(i))); p <= i; ++p) whole[p] = true;
  std::vector<size_t> cuts{0};
  int live = 0;
  for (size_t p = 1; p < forwardOps; ++p) {
    live += crossing[p];
    if (live <= 1 && !whole[p]) cuts.push_back(p);
  }
  cuts.push_back(forwardOps);
  return cuts;
}

/// How many times in a row the `period` segments from `at` repeat.
size_t repeats(const std::vector<uint64_t>& hashes, size_t at, size_t period) {
  size_t n = 1;
  while (at + (n + 1) * period <= hashes.size() &&
         std::equal(hashes.begin() + at, hashes.begin() + at + period,
                    hashes.begin() + at + n * period))
    ++n;
  return n;
}

/// Segment counts of the blocks: the period with the widest coverage at each place, the shortest of
/// equals.
std::vector<size_t> foldPeriods(const std::vector<uint64_t>& hashes) {
  std::vector<size_t> lengths;
  for (size_t at = 0; at < hashes.size();) {
    size_t bestPeriod = 1, bestCover = 1, bestRepeats = 1;
    const size_t limit = std::min(kMaxPeriod, (hashes.size() - at) / 2);
    for (size_t period = 1; period <= limit; ++period) {
      const size_t n = repeats(hashes, at, period);
      if (n > 1 && n * period > bestCover) {
        bestPeriod = period;
        bestCover = n * period;
        bestRepeats = n;
      }
    }
    lengths.insert(lengths.end(), bestRepeats, bestPeriod);
    at += bestPeriod * bestRepeats;
  }
  return lengths;
}

}  // namespace

size_t BlockChain::blockOf(OpId forwardOp) const {
  const auto at = std::upper_bound(blocks.begin(), blocks.end(), forwardOp.index(),
                                   [](size_t op, const Block& b) { return op < b.end; });
  return static_cast<size_t>(at - blocks.begin());
}

BlockChain findBlocks(const Graph& graph, size_t forwardOps) {
  const std::vector<Lifetime> lifetimes = activationLifetimes(graph, forwardOps);
  const std::vector<size_t> cuts = cutPositions(graph, lifetimes, forwardOps);
  std::vector<bool> longRange(graph.tensorCount());
  for (const Lifetime& l : lifetimes) longRange[l.tensor.index()] = isLong(l, forwardOps);
  std::vector<uint64_t> segmentHash;
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    Hash h;
    for (size_t op = cuts[i]; op < cuts[i + 1]; ++op)
      h.add(hashOperator(graph, op, cuts[i], longRange));
    segmentHash.push_back(h.value());
  }

  BlockChain chain;
  std::unordered_map<uint64_t, uint32_t> classes;
  size_t segment = 0;
  for (size_t length : foldPeriods(segmentHash)) {
    Hash h;
    for (size_t i = segment; i < segment + length; ++i) h.add(segmentHash[i]);
    const auto [found, isNew] =
        classes.emplace(h.value(), static_cast<uint32_t>(chain.classes.size()));
    if (isNew) chain.classes.push_back({static_cast<uint32_t>(chain.blocks.size()), 0});
    ++chain.classes[found->second].count;
    chain.blocks.push_back({static_cast<uint32_t>(cuts[segment]),
                            static_cast<uint32_t>(cuts[segment + length]), found->second});
    segment += length;
  }

  const auto repeated = [&](size_t op) {
    return op < forwardOps &&
           chain.classes[chain.blocks[chain.blockOf(OpId(op))].blockClass].count > 1;
  };
  chain.trunk.resize(graph.tensorCount());
  for (const Lifetime& l : lifetimes) {
    const size_t cut = *std::upper_bound(cuts.begin(), cuts.end(), l.begin);
    chain.trunk[l.tensor.index()] =
        cut <= l.end && !longRange[l.tensor.index()] && (repeated(cut - 1) || repeated(cut));
  }
  chain.crossing.resize(chain.blocks.size());
  for (const Lifetime& l : lifetimes) {
    const size_t last = chain.blockOf(OpId(l.end));
    for (size_t b = chain.blockOf(OpId(l.begin)); b < last; ++b)
      chain.crossing[b].push_back(l.tensor);
  }
  return chain;
}

std::string blockName(const Graph& graph, const Block& block) {
  const Operator& first = graph.op(OpId(block.begin));
  std::string prefix = first.module;
  for (uint32_t i = block.begin; i < block.end; ++i) {
    const std::string& module = graph.op(OpId(i)).module;
    const auto differ = std::mismatch(prefix.begin(), prefix.end(), module.begin(), module.end());
    const bool whole =
        differ.first == prefix.end() && (differ.second == module.end() || *differ.second == '.');
    if (whole) continue;
    prefix.erase(differ.first, prefix.end());
    const size_t dot = prefix.rfind('.');
    prefix.resize(dot == std::string::npos ? 0 : dot);
  }
  return prefix.empty() ? first.name : prefix;
}

uint64_t graphFingerprint(const Graph& graph, size_t forwardOps) {
  Hash h;
  const std::vector<bool> longRange(graph.tensorCount());
  for (size_t i = 0; i < forwardOps; ++i) h.add(hashOperator(graph, i, 0, longRange));
  return h.value();
}

}  // namespace meshplan
