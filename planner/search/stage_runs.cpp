// SPDX-License-Identifier: Apache-2.0
#include "planner/search/stage_runs.h"

#include <algorithm>

namespace meshplan {
namespace {

double again(const BlockCost& b, Recompute r) {
  return r == Recompute::full        ? b.recomputeFull
         : r == Recompute::selective ? b.recomputeSelective
                                     : 0;
}

double hostAgain(const BlockCost& b, Recompute r) {
  return r == Recompute::full ? b.hostRecomputeFull : 0;
}

/// Blocks of one class in a chunk count at once: a chunk of equal layers is a product.
void addBlocks(StageSums& sums, const BlockCost& b, Recompute r, double count) {
  sums.forward += count * b.forward;
  sums.backward += count * (b.backward + again(b, r));
  sums.hostForward += count * b.hostForward;
  sums.hostBackward += count * (b.hostBackward + hostAgain(b, r));
  sums.forwardCompute += count * (b.forward - b.forwardCommunication);
  sums.backwardCompute += count * std::max(0.0, b.backward - b.backwardCommunication);
  sums.dense += count * b.parameters;
  sums.expert += count * b.expertParameters;
  sums.saved.back() += count * blockSaved(b, r);
}

void addChunk(StageSums& sums, const BlockChain& chain, const std::vector<BlockCost>& costs,
              Recompute recompute, int64_t begin, int64_t end) {
  sums.saved.push_back(0);
  std::vector<double> counts(costs.size());
  for (int64_t i = begin; i < end; ++i)
    counts[chain.blocks[static_cast<size_t>(i)].blockClass] += 1;
  for (size_t c = 0; c < costs.size(); ++c)
    if (counts[c] > 0) addBlocks(sums, costs[c], recompute, counts[c]);
}

}  // namespace

double blockSeconds(const BlockCost& b, Recompute r) {
  return b.forward + b.backward + again(b, r);
}

double blockSaved(const BlockCost& b, Recompute r) {
  return r == Recompute::full        ? b.savedFull
         : r == Recompute::selective ? b.savedSelective
                                     : b.saved;
}

std::vector<StageRun> stageRuns(const BlockChain& chain, const std::vector<BlockCost>& costs,
                                Recompute recompute, const std::vector<int64_t>& starts,
                                int64_t pipeline) {
  const auto chunks = static_cast<int64_t>(starts.size()) - 1;
  std::vector<StageRun> runs;
  for (int64_t s = 0; s < pipeline; ++s) {
    StageRun run;
    run.first = s;
    for (int64_t c = s; c < chunks; c += pipeline) {
      const int64_t begin = starts[static_cast<size_t>(c)];
      addChunk(run.sums, chain, costs, recompute, begin, starts[static_cast<size_t>(c) + 1]);
      if (c != s) continue;
      run.sums.firstForward = run.sums.forwardCompute;
      run.sums.firstBackward = run.sums.backwardCompute;
      run.sums.afterSend =
          costs[chain.blocks[static_cast<size_t>(begin)].blockClass].weightGradients;
    }
    if (!runs.empty() && runs.back().sums == run.sums)
      ++runs.back().count;
    else
      runs.push_back(std::move(run));
  }
  return runs;
}

}  // namespace meshplan
