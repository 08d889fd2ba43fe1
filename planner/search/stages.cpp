// SPDX-License-Identifier: Apache-2.0
#include "planner/search/stages.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "core/error.h"

namespace meshplan {
namespace {

// Blocks x chunks of the dynamic programme; longer chains are left to the greedy answer.
constexpr int64_t kMostExact = 100000;

std::vector<double> prefixSums(const std::vector<double>& values) {
  std::vector<double> sums{0};
  for (double v : values) sums.push_back(sums.back() + v);
  return sums;
}

class Cutter {
 public:
  explicit Cutter(const CutProblem& p)
      : problem_(p),
        blocks_(static_cast<int64_t>(p.time.size())),
        chunks_(static_cast<int64_t>(p.capacity.size())),
        time_(prefixSums(p.time)),
        weight_(prefixSums(p.weight)),
        saved_(prefixSums(p.saved)) {}

  std::vector<int64_t> run() {
    if (chunks_ > blocks_ || chunks_ < 1) return {};
    std::vector<int64_t> best = cutsWithin(std::numeric_limits<double>::infinity());
    if (best.empty()) return {};
    // Each feasible answer is tightened to its own bottleneck, each failure raises the limit to the
    // next one at which anything changes; the first guess is the mean, which equal blocks reach.
    double low = std::max(time_.back() / static_cast<double>(chunks_),
                          *std::max_element(problem_.time.begin(), problem_.time.end())),
           high = bottleneck(best), guess = low * (1 + 1e-12);
    while (high - low > 1e-12 * high) {
      std::vector<int64_t> found = cutsWithin(guess);
      if (found.empty()) {
        low = std::max(guess, nextLimit_);
        guess = low * (1 + 1e-12);
        if (++failures_ > 3) guess = (low + high) / 2;
      } else {
        best = std::move(found);
        high = std::min(high, bottleneck(best));
        guess = (low + high) / 2;
      }
    }
    return best;
  }

 private:
  bool fits(int64_t chunk, int64_t begin, int64_t end, double limit) const {
    const auto c = static_cast<size_t>(chunk);
    const auto sum = [&](const std::vector<double>& p) {
      return p[static_cast<size_t>(end)] - p[static_cast<size_t>(begin)];
    };
    return sum(time_) <= limit &&
           sum(weight_) + problem_.inFlight[c] * sum(saved_) <= problem_.capacity[c];
  }

  /// The furthest end that chunk may reach, leaving a block for each chunk behind it; `begin` when
  /// not even one fits.
  int64_t reach(int64_t chunk, int64_t begin, double limit) const {
    int64_t low = begin, high = blocks_ - (chunks_ - 1 - chunk);
    while (low < high) {
      const int64_t middle = (low + high + 1) / 2;
      if (fits(chunk, begin, middle, limit))
        low = middle;
      else
        high = middle - 1;
    }
    return low;
  }

  /// Taking as many blocks as possible into each chunk. Where that reaches every chunk but not the
  /// end, nothing does: no other answer is ahead of it anywhere. `stuck_`: a chunk stayed empty.
  std::vector<int64_t> greedy(double limit) {
    stuck_ = false;
    nextLimit_ = std::numeric_limits<double>::infinity();
    std::vector<int64_t> starts{0};
    starts.reserve(static_cast<size_t>(chunks_) + 1);
    for (int64_t c = 0; c < chunks_; ++c) {
      const int64_t end = reach(c, starts.back(), limit);
      if (end < blocks_)
        nextLimit_ = std::min(nextLimit_, time_[static_cast<size_t>(end) + 1] -
                                              time_[static_cast<size_t>(starts.back())]);
      if (end == starts.back()) {
        stuck_ = true;
        return {};
      }
      starts.push_back(end);
    }
    return starts.back() == blocks_ ? starts : std::vector<int64_t>{};
  }

  std::vector<int64_t> cutsWithin(double limit) {
    std::vector<int64_t> starts = greedy(limit);
    if (!starts.empty() || !stuck_) return starts;
    nextLimit_ = 0;
    return exact(limit);
  }

  /// from[c][end]: a start of chunk c from which it can reach to `end`; -1 when there is none.
  std::vector<int64_t> exact(double limit) const {
    if (blocks_ * chunks_ > kMostExact) return {};
    const auto n = static_cast<size_t>(blocks_) + 1;
    std::vector<std::vector<int64_t>> from(static_cast<size_t>(chunks_),
                                           std::vector<int64_t>(n, -1));
    for (int64_t c = 0; c < chunks_; ++c) {
      auto& row = from[static_cast<size_t>(c)];
      int64_t covered = 0;
      for (int64_t begin = c; begin < blocks_; ++begin) {
        const bool reachable =
            c == 0 ? begin == 0 : from[static_cast<size_t>(c) - 1][static_cast<size_t>(begin)] >= 0;
        if (!reachable) continue;
        const int64_t end = reach(c, begin, limit);
        for (int64_t e = std::max(begin, covered) + 1; e <= end; ++e)
          row[static_cast<size_t>(e)] = begin;
        covered = std::max(covered, end);
      }
    }
    if (from.back().back() < 0) return {};
    std::vector<int64_t> starts{blocks_};
    for (int64_t c = chunks_; c-- > 0;)
      starts.push_back(from[static_cast<size_t>(c)][static_cast<size_t>(starts.back())]);
    std::reverse(starts.begin(), starts.end());
    return starts;
  }

  double bottleneck(const std::vector<int64_t>& starts) const {
    double worst = 0;
    for (size_t c = 0; c + 1 < starts.size(); ++c)
      worst = std::max(
          worst, time_[static_cast<size_t>(starts[c + 1])] - time_[static_cast<size_t>(starts[c])]);
    return worst;
  }

  const CutProblem& problem_;
  int64_t blocks_, chunks_;
  std::vector<double> time_, weight_, saved_;
  double nextLimit_ = 0;  // below it the last greedy try would have ended alike
  bool stuck_ = false;
  int failures_ = 0;
};

}  // namespace

std::vector<int64_t> cutStages(const CutProblem& problem) {
  return Cutter(problem).run();
}

std::vector<int64_t> evenStages(const BlockChain& chain, int64_t chunks) {
  const auto repeats = [&](const Block& b) { return chain.classes[b.blockClass].count > 1; };
  const auto first = std::find_if(chain.blocks.begin(), chain.blocks.end(), repeats);
  const auto last = std::find_if(chain.blocks.rbegin(), chain.blocks.rend(), repeats);
  const auto begin = first == chain.blocks.end() ? 0 : first - chain.blocks.begin();
  const auto count =
      last == chain.blocks.rend() ? std::ssize(chain.blocks) : chain.blocks.rend() - last - begin;
  if (count < chunks) return {};
  std::vector<int64_t> starts{0};
  for (int64_t c = 1; c < chunks; ++c) starts.push_back(begin + c * count / chunks);
  starts.push_back(std::ssize(chain.blocks));
  return starts;
}

std::vector<int64_t> cutOf(const std::vector<int64_t>& blocksPerChunk, int64_t blocks) {
  std::vector<int64_t> starts{0};
  for (int64_t count : blocksPerChunk) starts.push_back(starts.back() + count);
  return starts.back() == blocks ? starts : std::vector<int64_t>();
}

std::vector<int64_t> blocksPerChunk(const std::vector<int64_t>& starts) {
  std::vector<int64_t> counts;
  for (size_t c = 0; c + 1 < starts.size(); ++c) counts.push_back(starts[c + 1] - starts[c]);
  return counts;
}

std::string stagesText(const Plan& plan) {
  return fmt::format("stages={}", fmt::join(blocksPerChunk(plan.chunkStarts), ":"));
}

std::vector<int64_t> moveBlock(const std::vector<int64_t>& starts, int64_t block, int64_t chunk) {
  const auto from = std::upper_bound(starts.begin(), starts.end() - 1, block) - starts.begin() - 1;
  if (from == chunk) return starts;
  std::vector<int64_t> counts = blocksPerChunk(starts);
  const int64_t first = starts[static_cast<size_t>(from)];
  const int64_t end = starts[static_cast<size_t>(from) + 1];
  const int64_t moved = chunk > from ? end - block : block + 1 - first;
  counts[static_cast<size_t>(from)] -= moved;
  counts[static_cast<size_t>(chunk)] += moved;
  if (counts[static_cast<size_t>(from)] == 0)
    throw Error(ErrorKind::usage,
                fmt::format("pipeline chunk {} would be left without a block", from),
                "move fewer blocks");
  return cutOf(counts, starts.back());
}

}  // namespace meshplan
