// SPDX-License-Identifier: Apache-2.0
#include "planner/attention_cost.h"

#include <algorithm>
#include <cmath>

namespace meshplan {
namespace {

constexpr double kBlock = 128;
constexpr double kBackwardProducts = 2.5;
constexpr double kBackwardPasses = 7. / 4;

/// Key blocks that all query blocks of one head visit together.
double visitedBlocks(double queries, double keys, bool causal) {
  if (!causal) return queries * keys;
  double diagonal = std::min(queries, keys);
  return diagonal * (diagonal + 1) / 2 + queries * (keys - diagonal);
}

}  // namespace

AttentionCost::AttentionCost(const DeviceParameters& p)
    : ceiling_(p.flashCeiling),
      softmaxCost_(p.flashSoftmaxCost),
      blockOverhead_(p.flashBlockOverhead),
      backward_(p.flashBackward),
      first_(p.flashFirst),
      passes_(p.mathPasses),
      passesCausal_(p.mathPassesCausal) {}

double AttentionCost::flashSeconds(const MatrixCost& unit, const AttentionShape& s,
                                   bool backward) const {
  double queries = std::ceil(s.queryLength / kBlock), keys = std::ceil(s.keyLength / kBlock);
  double outer = backward ? keys : queries;
  double steps = visitedBlocks(queries, keys, s.causal) / outer + blockOverhead_;
  double width = s.headDim + s.valueDim;
  double step = 2 * kBlock * kBlock * unit.multiprocessors() / unit.peak() *
                (width / ceiling_ + 2 * softmaxCost_);
  double blocks = s.batch * s.heads * outer;
  double waves = std::max(1.0, blocks / unit.multiprocessors());
  double first = s.firstFlash ? 1 + first_ * width / 128 : 1;
  return waves * steps * step * first * (backward ? kBackwardProducts * backward_ : 1);
}

double AttentionCost::mathSeconds(const MatrixCost& unit, const AttentionShape& s,
                                  bool backward) const {
  double batch = s.batch * s.heads;
  double scores = unit.seconds({batch, s.queryLength, s.keyLength, s.headDim});
  double values = unit.seconds({batch, s.queryLength, s.valueDim, s.keyLength});
  return (scores + values) * (backward ? 2 : 1);
}

AttentionCost::ScoreBytes AttentionCost::scoreBytes(const MatrixCost& unit, const AttentionShape& s,
                                                    bool backward) const {
  const double scores = s.batch * s.heads * s.queryLength * s.keyLength * unit.elementBytes();
  const double dropout = s.dropout ? 2 + 1 / unit.elementBytes() : 0;
  if (!fusesSoftmax(s)) {
    const double mask = s.causal ? passesCausal_ / 2 : 0;
    return {0, scores * (passes_ * (backward ? kBackwardPasses : 1) + mask + dropout)};
  }
  const double read = s.causal ? 0.5 : 1, products = backward ? 4 : 2;
  return {scores * products, scores * ((backward ? 2 : 1) * read + 1 + dropout)};
}

bool AttentionCost::fusesSoftmax(const AttentionShape& s) {
  return s.fusedSoftmax && std::fmod(s.batch * s.heads, 4) == 0;
}

int64_t AttentionCost::kernels(const AttentionShape& s, bool backward) {
  if (s.flash) return 1;
  const int64_t products = backward ? 4 : 2, softmax = fusesSoftmax(s) ? 1 : 3 + s.causal;
  return products + softmax + s.dropout;
}

}  // namespace meshplan
