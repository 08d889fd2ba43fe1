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
/// parts of queries and keys exchanged. The first version (arXiv:2205.14135) is slower by
/// `flashFirst` per 64 of head dimension: it keeps fewer rows in registers as heads grow. Unfused
/// ("math"): two batched products forward, four backward, and passes over the scores in memory; a
/// mask adds passes and skips nothing. Dropout reads and writes the probabilities and writes a byte
/// each. Fused softmax: each product reads or writes the scores once while it computes; the softmax
/// reads them (half of them under a causal mask) and writes them, backward it reads two of them.
class AttentionCost {
 public:
  AttentionCost() = default;
  explicit AttentionCost(const DeviceParameters& parameters);

  double flashSeconds(const MatrixCost& unit, const AttentionShape& shape, bool backward) const;
  /// The products alone; the passes are scoreBytes() over memory.
  double mathSeconds(const MatrixCost& unit, const AttentionShape& shape, bool backward) const;
  /// Memory traffic of the scores: `inProducts` while the products run, `between` them.
  struct ScoreBytes {
    double inProducts = 0, between = 0;
  };
  ScoreBytes scoreBytes(const MatrixCost& unit, const AttentionShape& shape, bool backward) const;
  /// Launches: the products, softmax (with scale, mask and casts of their own unless fused) and
  /// dropout.
  static int64_t kernels(const AttentionShape& shape, bool backward);

 private:
  /// Megatron-LM's kernel takes blocks of four rows of heads and falls back to steps for other
  /// numbers (megatron/fused_kernels/scaled_upper_triang_masked_softmax.h, `batches_per_block`).
  static bool fusesSoftmax(const AttentionShape& shape);

  double ceiling_ = 1, softmaxCost_ = 0, blockOverhead_ = 0, backward_ = 1, first_ = 0;
  double passes_ = 0, passesCausal_ = 0;
};

}  // namespace meshplan
