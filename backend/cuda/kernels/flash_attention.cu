// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/flash_attention.cpp. After Dao 2023, "FlashAttention-2", algorithm 1:
// a block keeps 128 queries of one head, a warp 32 of them with their running maximum, sum and
// result in registers; keys arrive while values are multiplied and the other way round. Bound by
// the tensor cores.
#include "backend/cuda/attention_kernels.h"
#include "backend/cuda/kernels/attention_fragments.h"
#include "backend/cuda/kernels/attention_shape.h"

namespace meshplan {
namespace {

using device::AttentionShape;
using device::Results;
using device::RowTile;

constexpr int kWarps = 4, kThreads = 32 * kWarps, kTiles = 2;
constexpr int kQueries = 16 * kTiles * kWarps;

template <class T>
struct Forward {
  AttentionShape shape;
  const T *q, *k, *v;
  T* o;
  float* logSums;
};

/// kExtras: there is a mask or dropout.
template <class T, int kColumns, bool kExtras>
class QueryTile {
 public:
  /// As many as registers have room for.
  static constexpr int kKeys = kColumns == 128 || kExtras ? 32 : 64;
  static constexpr int kSharedBytes = (kQueries + 2 * kKeys) * kColumns * int{sizeof(T)};

  __device__ QueryTile(const Forward<T>& call, T* shared)
      : call_(call), q_{shared}, k_{shared + kQueries * kColumns}, v_{k_.data + kKeys * kColumns} {
    const AttentionShape& s = call.shape;
    // Blocks with the most keys come first.
    const int heads = s.batch * s.heads(), tiles = int(gridDim.x) / heads;
    const int at = int(blockIdx.x) % heads;
    query_ = (tiles - 1 - int(blockIdx.x) / heads) * kQueries;
    batch_ = at / s.heads();
    head_ = at % s.heads();
    headRow_ = int64_t{at} * s.queries;
    const int64_t group = int64_t{batch_} * s.groups + head_ / s.ratio;
    keys_ = call.k + group * s.keys * s.keyDim;
    values_ = call.v + group * s.keys * s.valueDim;
    warpRow_ = query_ + int(threadIdx.x) / 32 * 16 * kTiles;
    factor_ = kExtras ? 1.f : static_cast<float>(s.scale) * device::kLog2E;
    MESHPLAN_UNROLL
    for (int i = 0; i < 2 * kTiles; ++i) most_[i / 2][i % 2] = -INFINITY, sum_[i / 2][i % 2] = 0;
  }

  __device__ void run() {
    const AttentionShape& s = call_.shape;
    const int last = (query_ + kQueries < s.queries ? query_ + kQueries : s.queries) - 1;
    const int end = s.visible(last);
    q_.template load<kQueries, kThreads>(call_.q + (headRow_ + query_) * s.keyDim,
                                         s.queries - query_, s.keyDim);
    loadKeys(0);
    for (int key = 0; key < end; key += kKeys) addKeys(key, end);
    device::waitCopies<0>();
    finish();
  }

 private:
  __device__ void loadKeys(int key) {
    const AttentionShape& s = call_.shape;
    k_.template load<kKeys, kThreads>(keys_ + int64_t{key} * s.keyDim, s.keys - key, s.keyDim);
    device::commitCopies();
  }

  __device__ void addKeys(int key, int end) {
    const AttentionShape& s = call_.shape;
    device::waitCopies<0>();
    __syncthreads();  // keys are there, and nobody reads the last values any more
    v_.template load<kKeys, kThreads>(values_ + int64_t{key} * s.valueDim, s.keys - key,
                                      s.valueDim);
    device::commitCopies();
    Results<kTiles, kKeys / 8> p;
    device::addProduct(q_, warpRow_ - query_, k_, p);
    device::waitCopies<0>();
    __syncthreads();  // values are there, and nobody reads the keys any more
    if (key + kKeys < end) loadKeys(key + kKeys);
    if (kExtras || key + kKeys > s.visible(query_)) hide(key, p);
    MESHPLAN_UNROLL
    for (int i = 0; i < 2 * kTiles; ++i) exponentials(i / 2, i % 2, p);
    if constexpr (kExtras)
      if (s.dropout.rate > 0) drop(key, p);
    device::addWeighted(p, v_, o_);
  }

  __device__ void hide(int key, Results<kTiles, kKeys / 8>& p) const {
    const AttentionShape& s = call_.shape;
    MESHPLAN_UNROLL
    for (int i = 0; i < kTiles * kKeys / 2; ++i) {
      const int tile = i / (kKeys / 2), block = i / 4 % (kKeys / 8), e = i % 4;
      const int query = warpRow_ + p.row(tile, e), at = key + p.column(block, e);
      float& score = p.at[tile][block][e];
      if (query >= s.queries || at >= s.visible(query))
        score = -INFINITY;
      else if constexpr (kExtras)
        score = s.mask.apply(score * static_cast<float>(s.scale), batch_, head_, query, at) *
                device::kLog2E;
    }
  }

  /// One row of scores becomes exponentials under the running maximum.
  __device__ void exponentials(int tile, int half, Results<kTiles, kKeys / 8>& p) {
    float most = most_[tile][half], sum = 0;
    MESHPLAN_UNROLL
    for (int i = 0; i < kKeys / 4; ++i) most = fmaxf(most, p.at[tile][i / 2][2 * half + i % 2]);
    most = device::quadMaximum(most);
    const float shift = most == -INFINITY ? 0 : most * factor_;
    MESHPLAN_UNROLL
    for (int i = 0; i < kKeys / 4; ++i) {
      float& score = p.at[tile][i / 2][2 * half + i % 2];
      score = device::exp2Fast(score * factor_ - shift);
      sum += score;
    }
    const float shrinks = device::exp2Fast(most_[tile][half] * factor_ - shift);
    sum_[tile][half] = sum_[tile][half] * shrinks + sum;  // of the lane's columns
    most_[tile][half] = most;
    MESHPLAN_UNROLL
    for (int i = 0; i < kColumns / 4; ++i) o_.at[tile][i / 2][2 * half + i % 2] *= shrinks;
  }

  __device__ void drop(int key, Results<kTiles, kKeys / 8>& p) const {
    const AttentionShape& s = call_.shape;
    const PlacedRandom random = s.dropout.random();
    const float scale = static_cast<float>(1 / (1 - s.dropout.rate));
    MESHPLAN_UNROLL
    for (int i = 0; i < kTiles * 2; ++i) {
      const int64_t row = s.dropout.row(batch_, head_ / s.ratio, head_ % s.ratio,
                                        warpRow_ + p.row(i / 2, i % 2 * 2));
      MESHPLAN_UNROLL
      MESHPLAN_UNROLL
      for (int n = 0; n < kKeys / 4; ++n) {
        const int e = 2 * (i % 2) + n % 2;
        p.at[i / 2][n / 2][e] *=
            s.dropout.keeps(random, row, key + p.column(n / 2, e)) ? scale : 0.f;
      }
    }
  }

  __device__ void finish() {
    const AttentionShape& s = call_.shape;
    float factors[kTiles][2];
    MESHPLAN_UNROLL
    for (int i = 0; i < 2 * kTiles; ++i) {
      const float sum = device::quadSum(sum_[i / 2][i % 2]);
      factors[i / 2][i % 2] = sum == 0 ? 0.f : 1 / sum;
      const int query = warpRow_ + o_.row(i / 2, i % 2 * 2);
      if (query < s.queries && threadIdx.x % 4 == 0)
        call_.logSums[headRow_ + query] =
            most_[i / 2][i % 2] * factor_ * device::kLn2 + logf(sum == 0 ? 1.f : sum);
    }
    device::storeRows<T>(o_, call_.o + headRow_ * s.valueDim, false, warpRow_, s.queries,
                         s.valueDim, [&](int tile, int half) { return factors[tile][half]; });
  }

  const Forward<T>& call_;
  RowTile<T, kColumns> q_, k_, v_;
  const T *keys_, *values_;
  int batch_, head_, query_, warpRow_;
  int64_t headRow_;
  float factor_;
  float most_[kTiles][2], sum_[kTiles][2];
  Results<kTiles, kColumns / 8> o_;
};

template <class T, int kColumns, bool kExtras>
__global__ void __launch_bounds__(kThreads) forwardKernel(Forward<T> call) {
  MESHPLAN_DYNAMIC_SHARED(T, shared);
  QueryTile<T, kColumns, kExtras>(call, shared).run();
}

template <class T, int kColumns, bool kExtras>
void start(CudaContext& context, const Forward<T>& call) {
  constexpr int kBytes = QueryTile<T, kColumns, kExtras>::kSharedBytes;
  const auto kernel = forwardKernel<T, kColumns, kExtras>;
  context.check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
                "cudaFuncSetAttribute");
  launch(context, call.shape.headCount() * ceilDiv(call.shape.queries, kQueries), kThreads, kBytes,
         kernel, call);
}

template <class T>
void forward(CudaContext& context, const KernelCall& call) {
  const Forward<T> f{device::attentionShape(context, call),
                     call.inputs[0].as<T>(),
                     call.inputs[1].as<T>(),
                     call.inputs[2].as<T>(),
                     call.outputs[0].as<T>(),
                     call.outputs[1].as<float>()};
  const bool narrow = f.shape.keyDim <= 64 && f.shape.valueDim <= 64;
  const bool extras = f.shape.mask.data || f.shape.dropout.rate > 0;
  if (narrow) return extras ? start<T, 64, true>(context, f) : start<T, 64, false>(context, f);
  extras ? start<T, 128, true>(context, f) : start<T, 128, false>(context, f);
}

}  // namespace

void tensorAttention(CudaContext& context, const KernelCall& call) {
  if (call.inputs[0].type.dtype == DType::f16) return forward<Half>(context, call);
  forward<BFloat16>(context, call);
}

}  // namespace meshplan
