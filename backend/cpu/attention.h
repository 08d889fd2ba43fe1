// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <optional>

#include "backend/cpu/cpu_kernels.h"
#include "backend/cpu/element.h"
#include "backend/cpu/random.h"

namespace meshplan {

/// The local extents and the rules of one attention call. Query head h reads the keys and values of
/// group h / ratio. Causal: the query of global position i sees the keys of positions up to i. A
/// query that sees no key gets zeros.
struct AttentionRules {
  int64_t batch, groups, ratio, queries, keys, keyDim, valueDim;
  bool causal;
  double scale, dropout;
  AxisRange batchRange, groupRange, ratioRange, queryRange, keyRange;
  PlacedRandom random;

  AttentionRules(const KernelCall& call, const Shape& q, const Shape& k, const Shape& v);

  int64_t heads() const { return groups * ratio; }
  /// How many of the local keys, from the first, a local query may see.
  int64_t visible(int64_t query) const;
  /// 0 for a dropped probability, else 1 / (1 - dropout).
  double kept(int64_t batch, int64_t head, int64_t query, int64_t key) const;
};

/// A mask that broadcasts to scores [batch, heads, queries, keys]: numbers to add, or booleans that
/// say which scores stay.
class AttentionMask {
 public:
  AttentionMask(const TensorView& mask);

  /// Applies it to the scores of keys [key, key + n) of one query.
  template <class W>
  void apply(int64_t batch, int64_t head, int64_t query, int64_t key, int64_t n, W* scores) const {
    const int64_t at = offset(batch, head, query) + key * strides_[3];
    const auto add = [&](const auto* from) {
      for (int64_t j = 0; j < n; ++j)
        scores[j] =
            W(static_cast<Wide<W>>(scores[j]) + static_cast<Wide<W>>(from[j * strides_[3]]));
    };
    if (view_.type.dtype == DType::f64) return add(view_.as<double>() + at);
    if (view_.type.dtype == DType::f32) return add(view_.as<float>() + at);
    if (view_.type.dtype == DType::bf16) return add(view_.as<BFloat16>() + at);
    const uint8_t* const from = view_.as<uint8_t>() + at;
    for (int64_t j = 0; j < n; ++j)
      if (!from[j * strides_[3]]) scores[j] = W(-std::numeric_limits<Wide<W>>::infinity());
  }

  /// Adds gradients of such scores to sums laid out as the mask.
  template <class W>
  void gather(int64_t batch, int64_t head, int64_t query, int64_t key, int64_t n, const W* scores,
              W* sums) const {
    const int64_t at = offset(batch, head, query) + key * strides_[3];
    for (int64_t j = 0; j < n; ++j) sums[at + j * strides_[3]] += scores[j];
  }

 private:
  int64_t offset(int64_t batch, int64_t head, int64_t query) const {
    return batch * strides_[0] + head * strides_[1] + query * strides_[2];
  }

  TensorView view_;
  int64_t strides_[4] = {};
};

/// Without ever holding all scores (Dao et al. 2022, "FlashAttention", algorithm 1; backward as in
/// algorithm 4): blocks of queries against blocks of keys with a running maximum and sum, scores
/// again from the log-sum-exp in the backward pass.
void flashAttention(CpuContext& context, const KernelCall& call);
void flashAttentionGradient(CpuContext& context, const KernelCall& call);

}  // namespace meshplan
