// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "planner/matrix_cost.h"

namespace meshplan {

/// Seconds of attention on the multiprocessors of one device, without launch.
/// Fused ("flash", FlashAttention-2, arXiv:2307.08691): blocks of 128 queries step over blocks of
/// 128 keys; a step takes
///     2 * 128 * 128 * (d + dv) / (peak per multiprocessor) * (1/ceiling + softmaxCost / d)
/// and each block of queries `blockOverhead` steps more, so short sequences and small heads are
/// slower. A causal block skips the key blocks that it cannot see but computes the whole diagonal
/// one. Backward does 2.5 times the forward products at `flashBackward` times the cost, with the
/// parts of queries and keys exchanged. Unfused ("math"): two batched products forward, four
/// backward, and passes over the scores in memory; a mask adds passes and skips nothing.
class AttentionCost {
 public:
  AttentionCost() = default;
  explicit AttentionCost(const DeviceParameters& parameters);

  double flashSeconds(const MatrixCost& unit, const AttentionShape& shape, bool backward) const;
  /// The products alone; the passes are scoreBytes() over memory.
  double mathSeconds(const MatrixCost& unit, const AttentionShape& shape, bool backward) const;
  double scoreBytes(const MatrixCost& unit, const AttentionShape& shape, bool backward) const;

 private:
  double ceiling_ = 1, softmaxCost_ = 0, blockOverhead_ = 0, backward_ = 1;
  double passes_ = 0, passesCausal_ = 0;
};

}  // namespace meshplan
