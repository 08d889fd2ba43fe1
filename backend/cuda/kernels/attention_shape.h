// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cpu/attention.h"
#include "backend/cuda/kernels/element.h"
#include "backend/cuda/kernels/launch.h"

/// What AttentionRules and AttentionMask of backend/cpu/attention.h say, as kernels read it.
namespace meshplan::device {

/// A mask that broadcasts to scores [batch, heads, queries, keys]: numbers to add, or bytes of
/// which zero takes a score away. Absent: `data` is null.
struct ScoreMask {
  const void* data = nullptr;
  DType dtype = DType::f32;
  int64_t strides[4] = {};  // 0 where it broadcasts

  template <class C>
  __device__ C add(C score, int64_t at) const {
    switch (dtype) {
      case DType::f64:
        return C(score + static_cast<const double*>(data)[at]);
      case DType::f32:
        return score + C(static_cast<const float*>(data)[at]);
      case DType::bf16:
        return score + C(static_cast<const BFloat16*>(data)[at]);
      case DType::f16:
        return score + C(static_cast<const Half*>(data)[at]);
      default:
        return static_cast<const uint8_t*>(data)[at] ? score : -INFINITY;
    }
  }
  template <class C>
  __device__ C apply(C score, int batch, int head, int query, int key) const {
    if (!data) return score;
    return add(score,
               batch * strides[0] + head * strides[1] + query * strides[2] + key * strides[3]);
  }
};

/// Which probabilities fall out: as AttentionRules::kept.
struct ScoreDropout {
  double rate = 0;
  const uint64_t* seed = nullptr;
  uint64_t nameHash = 0;
  int64_t batchBegin, groupBegin, groups, ratioBegin, ratio, queryBegin, queries, keyBegin, keys;

  __device__ PlacedRandom random() const { return {*seed, nameHash}; }
  /// Place of the first key's random number.
  __device__ int64_t row(int batch, int group, int member, int query) const {
    int64_t place = (batchBegin + batch) * groups * ratio;
    place += (groupBegin + group) * ratio + ratioBegin + member;
    return (place * queries + queryBegin + query) * keys + keyBegin;
  }
  __device__ bool keeps(const PlacedRandom& random, int64_t row, int key) const {
    return random.uniform(static_cast<uint64_t>(row + key)) >= rate;
  }
};

/// Local extents: q [batch, groups * ratio, queries, keyDim], k [batch, groups, keys, keyDim],
/// v [batch, groups, keys, valueDim].
struct AttentionShape {
  int batch, groups, ratio, queries, keys, keyDim, valueDim;
  bool causal;
  int64_t ahead;  // by how much queries count further than keys
  double scale;
  ScoreMask mask;
  ScoreDropout dropout;

  MESHPLAN_INLINE int heads() const { return groups * ratio; }
  MESHPLAN_INLINE int64_t headCount() const { return int64_t{batch} * heads(); }
  MESHPLAN_INLINE int64_t groupCount() const { return int64_t{batch} * groups; }
  /// How many keys, from the first, a query may see.
  MESHPLAN_INLINE int visible(int query) const {
    if (!causal) return keys;
    const int64_t end = ahead + query + 1;
    return end < 0 ? 0 : end > keys ? keys : static_cast<int>(end);
  }
  /// The first query that may see `key`.
  MESHPLAN_INLINE int firstQuery(int key) const {
    const int64_t first = causal ? key - ahead : 0;
    return first < 0 ? 0 : first > queries ? queries : static_cast<int>(first);
  }
  /// 0 for a dropped probability, else 1 / (1 - rate).
  template <class C>
  __device__ C kept(int batch, int head, int query, int key) const {
    if (dropout.rate == 0) return 1;
    const int64_t row = dropout.row(batch, head / ratio, head % ratio, query);
    return dropout.keeps(dropout.random(), row, key) ? C(1 / (1 - dropout.rate)) : C(0);
  }
};

/// Of a forward or backward call. Throws Error(runtime) where an extent exceeds 2^31 - 1.
AttentionShape attentionShape(const CudaContext& context, const KernelCall& call);
ScoreMask scoreMask(const TensorView& view);

}  // namespace meshplan::device
