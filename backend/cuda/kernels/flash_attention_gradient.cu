// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/flash_attention.cpp. Gradients of queries and those of keys and values
// are separate passes, each with the scores anew from the log-sum-exp: seven products instead of
// five, but no sums across blocks, so that results are the same every time. Both are one kernel: it
// keeps rows of (q, dy) or (k, v), and columns of the others pass by, loaded one tile ahead. Bound
// by the tensor cores.
#include "backend/cuda/attention_kernels.h"
#include "backend/cuda/kernels/attention_fragments.h"
#include "backend/cuda/kernels/attention_shape.h"

namespace meshplan {
namespace {

using device::AttentionShape;
using device::Results;
using device::RowTile;

constexpr int kWarps = 4, kThreads = 32 * kWarps;

/// A gradient that somebody wants, of T or fp32.
struct Gradient {
  void* data = nullptr;
  bool wide = false;

  __device__ void* at(int64_t element, int bytes) const {
    return static_cast<char*>(data) + element * (wide ? 4 : bytes);
  }
};

template <class T>
struct Backward {
  AttentionShape shape;
  const T *q, *k, *v, *dy;
  const float *logSums, *products;
  Gradient dq, dk, dv;
};

/// Rows are keys (kOfKeys) or queries, columns the others.
template <class T, int kColumns, bool kOfKeys, bool kExtras>
class GradientTile {
 public:
  // What registers have room for: two sums of kColumns / 2 values per row tile, or one.
  static constexpr int kTiles = kColumns == 128 ? 1 : 2;
  static constexpr int kAcross = kOfKeys || kColumns == 64 ? 32 : 64;
  static constexpr int kRows = 16 * kTiles * kWarps, kStages = 2;
  static constexpr int kTileElements = kAcross * kColumns;
  static constexpr int kStatistics = kOfKeys ? 2 * kStages * kAcross : 0;
  static constexpr int kSharedBytes =
      2 * (kRows + kStages * kAcross) * kColumns * int{sizeof(T)} + kStatistics * 4;
  using Scores = Results<kTiles, kAcross / 8>;
  using Sums = Results<kTiles, kColumns / 8>;

  __device__ GradientTile(const Backward<T>& call, T* shared)
      : call_(call),
        first_{shared},
        second_{shared + kRows * kColumns},
        passing_(shared + 2 * kRows * kColumns),
        statistics_(reinterpret_cast<float*>(passing_ + 2 * kStages * kTileElements)) {
    const AttentionShape& s = call.shape;
    const int count = s.batch * (kOfKeys ? s.groups : s.heads());
    const int at = int(blockIdx.x) % count, tile = int(blockIdx.x) / count;
    const int tiles = int(gridDim.x) / count;
    // Blocks with the most to do come first: the last queries, the first keys.
    row_ = (kOfKeys ? tile : tiles - 1 - tile) * kRows;
    batch_ = at / (kOfKeys ? s.groups : s.heads());
    head_ = kOfKeys ? at % s.groups * s.ratio : at % s.heads();
    warpRow_ = row_ + int(threadIdx.x) / 32 * 16 * kTiles;
    group_ = int64_t{batch_} * s.groups + head_ / s.ratio;
    scaleLog2_ = static_cast<float>(s.scale) * device::kLog2E;
  }

  __device__ void run() {
    const AttentionShape& s = call_.shape;
    int begin = 0, end = 0;
    if (kOfKeys) {
      begin = s.firstQuery(row_) / kAcross * kAcross;
      end = s.queries;
    } else {
      end = s.visible((row_ + kRows < s.queries ? row_ + kRows : s.queries) - 1);
    }
    const int each = (end - begin + kAcross - 1) / kAcross;
    const int count = each > 0 ? each * (kOfKeys ? s.ratio : 1) : 0;
    loadRows();
    if (count > 0) loadPassing(0, headOf(0), begin);
    device::commitCopies();
    for (int i = 0; i < count; ++i) {
      if (i + 1 < count)
        loadPassing((i + 1) % kStages, headOf((i + 1) / each), begin + (i + 1) % each * kAcross);
      device::commitCopies();
      device::waitCopies<1>();
      __syncthreads();
      add(i % kStages, headOf(i / each), begin + i % each * kAcross);
      __syncthreads();
    }
    device::waitCopies<0>();
    finish();
  }

 private:
  __device__ int headOf(int member) const { return head_ + member; }
  __device__ int64_t headRow(int head) const {
    return (int64_t{batch_} * call_.shape.heads() + head) * call_.shape.queries;
  }
  __device__ RowTile<T, kColumns> passing(int stage, int which) const {
    return {passing_ + (2 * stage + which) * kTileElements};
  }
  __device__ float* statistics(int stage, int which) const {
    return statistics_ + (2 * stage + which) * kAcross;
  }

  __device__ void loadRows() {
    const AttentionShape& s = call_.shape;
    const int64_t rows = (kOfKeys ? group_ * s.keys : headRow(head_)) + row_;
    const int left = (kOfKeys ? s.keys : s.queries) - row_;
    first_.template load<kRows, kThreads>((kOfKeys ? call_.k : call_.q) + rows * s.keyDim, left,
                                          s.keyDim);
    second_.template load<kRows, kThreads>((kOfKeys ? call_.v : call_.dy) + rows * s.valueDim, left,
                                           s.valueDim);
    if constexpr (!kOfKeys) {
      MESHPLAN_UNROLL
      for (int i = 0; i < 2 * kTiles; ++i) {
        const int query = warpRow_ + Scores::row(i / 2, i % 2 * 2);
        const bool inside = query < s.queries;
        shift_[i / 2][i % 2] = inside ? shiftOf(call_.logSums[headRow(head_) + query]) : INFINITY;
        product_[i / 2][i % 2] = inside ? call_.products[headRow(head_) + query] : 0;
      }
    }
  }

  __device__ void loadPassing(int stage, int head, int column) {
    const AttentionShape& s = call_.shape;
    const int64_t rows = (kOfKeys ? headRow(head) : group_ * s.keys) + column;
    const int left = (kOfKeys ? s.queries : s.keys) - column;
    passing(stage, 0).template load<kAcross, kThreads>(
        (kOfKeys ? call_.q : call_.k) + rows * s.keyDim, left, s.keyDim);
    passing(stage, 1).template load<kAcross, kThreads>(
        (kOfKeys ? call_.dy : call_.v) + rows * s.valueDim, left, s.valueDim);
    if (kOfKeys && threadIdx.x < 2 * kAcross) {
      const int i = int(threadIdx.x) % kAcross, which = int(threadIdx.x) / kAcross;
      const float* const from = which ? call_.products : call_.logSums;
      device::copyWordAsync(statistics(stage, which) + i, from + (i < left ? rows + i : 0),
                            i < left);
    }
  }

  /// Scores times log2(e) minus this give the exponent of two.
  static __device__ float shiftOf(float logSum) {
    return logSum == -INFINITY ? INFINITY : logSum * device::kLog2E;
  }

  __device__ void add(int stage, int head, int column) {
    const AttentionShape& s = call_.shape;
    Scores p, ds;
    device::addProduct(first_, warpRow_ - row_, passing(stage, 0), p);
    device::addProduct(second_, warpRow_ - row_, passing(stage, 1), ds);
    const bool cut = kOfKeys ? column + kAcross > s.queries || row_ + kRows > s.visible(column)
                             : column + kAcross > s.visible(row_);
    if (kExtras || cut)
      gradients<true>(stage, head, column, p, ds);
    else
      gradients<false>(stage, head, column, p, ds);
    device::addWeighted(ds, passing(stage, 0), sums_);
    if constexpr (kOfKeys) device::addWeighted(p, passing(stage, 1), values_);
  }

  /// Scores become probabilities after dropout, their gradients those of the scores.
  template <bool kCut>
  __device__ void gradients(int stage, int head, int column, Scores& p, Scores& ds) const {
    const AttentionShape& s = call_.shape;
    MESHPLAN_UNROLL
    for (int i = 0; i < kTiles * kAcross / 2; ++i) {
      const int tile = i / (kAcross / 2), block = i / 4 % (kAcross / 8), e = i % 4;
      const int across = Scores::column(block, e), down = warpRow_ + Scores::row(tile, e);
      float shift, product;
      if constexpr (kOfKeys) {
        shift = shiftOf(statistics(stage, 0)[across]);
        product = statistics(stage, 1)[across];
      } else {
        shift = shift_[tile][e / 2];
        product = product_[tile][e / 2];
      }
      float &score = p.at[tile][block][e], &gradient = ds.at[tile][block][e];
      float exponent = score * scaleLog2_ - shift;
      if constexpr (kCut) {
        const int query = kOfKeys ? column + across : down;
        const int key = kOfKeys ? down : column + across;
        const bool seen = query < s.queries && key < s.visible(query);
        if constexpr (kExtras)
          if (seen && s.mask.data)
            exponent = s.mask.apply(score * static_cast<float>(s.scale), batch_, head, query, key) *
                           device::kLog2E -
                       shift;
        const float kept = kExtras && seen ? s.kept<float>(batch_, head, query, key) : 1.f;
        const float probability = seen ? device::exp2Fast(exponent) : 0.f;
        gradient = probability * (gradient * kept - product);
        score = probability * kept;
      } else {
        score = device::exp2Fast(exponent);
        gradient = score * (gradient - product);
      }
    }
  }

  __device__ void finish() {
    const AttentionShape& s = call_.shape;
    const float scale = static_cast<float>(s.scale);
    const int64_t row = kOfKeys ? group_ * s.keys : headRow(head_);
    const int rows = kOfKeys ? s.keys : s.queries;
    const Gradient &sum = kOfKeys ? call_.dk : call_.dq, &values = call_.dv;
    if (sum.data)
      device::storeRows<T>(sums_, sum.at(row * s.keyDim, sizeof(T)), sum.wide, warpRow_, rows,
                           s.keyDim, [&](int, int) { return scale; });
    if constexpr (kOfKeys)
      if (values.data)
        device::storeRows<T>(values_, values.at(row * s.valueDim, sizeof(T)), values.wide, warpRow_,
                             rows, s.valueDim, [](int, int) { return 1.f; });
  }

  const Backward<T>& call_;
  RowTile<T, kColumns> first_, second_;
  T* passing_;
  float* statistics_;
  int batch_, head_, row_, warpRow_;
  int64_t group_;
  float scaleLog2_;
  float shift_[kTiles][2], product_[kTiles][2];  // of queries as rows
  Sums sums_;
  Results<kOfKeys ? kTiles : 1, kOfKeys ? kColumns / 8 : 1> values_;
};

template <class T, int kColumns, bool kOfKeys, bool kExtras>
__global__ void __launch_bounds__(kThreads) gradientKernel(Backward<T> call) {
  MESHPLAN_DYNAMIC_SHARED(T, shared);
  GradientTile<T, kColumns, kOfKeys, kExtras>(call, shared).run();
}

template <class T, int kColumns, bool kOfKeys, bool kExtras>
void start(CudaContext& context, const Backward<T>& call) {
  using Tile = GradientTile<T, kColumns, kOfKeys, kExtras>;
  const auto kernel = gradientKernel<T, kColumns, kOfKeys, kExtras>;
  context.check(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Tile::kSharedBytes),
      "cudaFuncSetAttribute");
  const AttentionShape& s = call.shape;
  const int64_t blocks = kOfKeys ? s.groupCount() * ceilDiv(s.keys, Tile::kRows)
                                 : s.headCount() * ceilDiv(s.queries, Tile::kRows);
  launch(context, blocks, kThreads, Tile::kSharedBytes, kernel, call);
}

template <class T, int kColumns, bool kExtras>
void startBoth(CudaContext& context, const Backward<T>& call) {
  if (call.dq.data) start<T, kColumns, false, kExtras>(context, call);
  if (call.dk.data || call.dv.data) start<T, kColumns, true, kExtras>(context, call);
}

Gradient gradientOf(const KernelCall& call, size_t i) {
  const TensorView* view = call.inputGradient(i);
  if (!view) return {};
  return {view->data, view->type.dtype != call.forwardInput(i)->type.dtype};
}

template <class T>
void backward(CudaContext& context, const KernelCall& call) {
  const AttentionShape s = device::attentionShape(context, call);
  auto* const products = static_cast<float*>(context.scratch(s.headCount() * s.queries * 4));
  rowProducts(context, *call.forwardOutput(0), *call.outputGradient(0), products);
  const Backward<T> b{s,
                      call.forwardInput(0)->as<T>(),
                      call.forwardInput(1)->as<T>(),
                      call.forwardInput(2)->as<T>(),
                      call.outputGradient(0)->as<T>(),
                      call.forwardOutput(1)->as<float>(),
                      products,
                      gradientOf(call, 0),
                      gradientOf(call, 1),
                      gradientOf(call, 2)};
  const bool narrow = s.keyDim <= 64 && s.valueDim <= 64;
  const bool extras = s.mask.data || s.dropout.rate > 0;
  if (narrow)
    return extras ? startBoth<T, 64, true>(context, b) : startBoth<T, 64, false>(context, b);
  extras ? startBoth<T, 128, true>(context, b) : startBoth<T, 128, false>(context, b);
}

}  // namespace

void tensorAttentionGradient(CudaContext& context, const KernelCall& call) {
  if (call.outputGradient(0)->type.dtype == DType::f16)
    backward<Half>(context, call);
  else
    backward<BFloat16>(context, call);
  attentionMaskGradient(context, call);
}

}  // namespace meshplan
