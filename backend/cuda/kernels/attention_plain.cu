// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/flash_attention.cpp. Bound by arithmetic without tensor cores. Head
// sizes beyond one tile take a block per tile of columns, each with the scores anew.
#include "backend/cuda/attention_kernels.h"
#include "backend/cuda/kernels/attention_shape.h"
#include "backend/cuda/kernels/attention_tile.h"
#include "core/error.h"

namespace meshplan {
namespace {

using device::AttentionShape;
using device::Compute;
using device::rowsFrom;
using device::Tile;

constexpr int kRowsPerBlock = kThreadsPerBlock / 32;

template <class T>
struct Forward {
  AttentionShape shape;
  const T *q, *k, *v;
  T* o;
  Compute<T>* logSums;
};

/// A tile of queries of one head.
template <class T>
class ForwardTile {
 public:
  using C = Compute<T>;
  using Tiles = Tile<C>;

  __device__ ForwardTile(const Forward<T>& call, Tiles& tile) : call_(call), tile_(tile) {
    const AttentionShape& s = call.shape;
    const int chunks = (s.valueDim + Tiles::kSide - 1) / Tiles::kSide;
    const int tiles = (s.queries + Tiles::kSide - 1) / Tiles::kSide;
    chunk_ = int(blockIdx.x) % chunks;
    query_ = int(blockIdx.x) / chunks % tiles * Tiles::kSide;
    const int at = int(blockIdx.x) / chunks / tiles;
    batch_ = at / s.heads();
    head_ = at % s.heads();
  }

  __device__ void run() {
    const AttentionShape& s = call_.shape;
    MESHPLAN_UNROLL
    for (int i = 0; i < Tiles::kEach; ++i) most_[i] = -INFINITY, sum_[i] = 0;
    const int last = std::min(query_ + Tiles::kSide, s.queries) - 1;
    const int end = s.visible(last);
    for (int key = 0; key < end; key += Tiles::kSide) addKeys(key);
    finish();
  }

 private:
  __device__ int64_t headRow() const {
    return (int64_t{batch_} * call_.shape.heads() + head_) * call_.shape.queries;
  }
  __device__ int64_t groupRow() const {
    return (int64_t{batch_} * call_.shape.groups + head_ / call_.shape.ratio) * call_.shape.keys;
  }

  __device__ void addKeys(int key) {
    const AttentionShape& s = call_.shape;
    typename Tiles::Values p;
    tile_.addProduct(rowsFrom(call_.q + headRow() * s.keyDim, query_, s.queries, s.keyDim),
                     rowsFrom(call_.k + groupRow() * s.keyDim, key, s.keys, s.keyDim), p);
    MESHPLAN_UNROLL
    for (int i = 0; i < Tiles::kEach; ++i) exponentials(i, key, p.at[i]);
    tile_.putFactors(p);
    tile_.addFactorsTimes(rowsFrom(call_.v + groupRow() * s.valueDim, key, s.keys, s.valueDim),
                          chunk_ * Tiles::kSide, o_);
  }

  /// One row of scores becomes exponentials under the running maximum.
  __device__ void exponentials(int i, int key, C* scores) {
    const AttentionShape& s = call_.shape;
    const int query = query_ + Tiles::y(i);
    const int visible = query < s.queries ? s.visible(query) : 0;
    C most = most_[i], sum = 0;
    MESHPLAN_UNROLL
    for (int j = 0; j < Tiles::kEach; ++j) {
      const int at = key + Tiles::x(j);
      scores[j] = at < visible ? s.mask.apply(C(scores[j] * C(s.scale)), batch_, head_, query, at)
                               : C(-INFINITY);
      most = scores[j] > most ? scores[j] : most;
    }
    most = device::rowMaximum(most);
    const C shift = most == C(-INFINITY) ? C(0) : most;
    MESHPLAN_UNROLL
    for (int j = 0; j < Tiles::kEach; ++j) {
      scores[j] = simd::exp(scores[j] - shift);
      sum += scores[j];
      if (s.dropout.rate > 0 && scores[j] > 0)
        scores[j] *= s.kept<C>(batch_, head_, query, key + Tiles::x(j));
    }
    const C factor = most_[i] == C(-INFINITY) ? C(0) : simd::exp(most_[i] - shift);
    sum_[i] = sum_[i] * factor + device::rowSum(sum);
    most_[i] = most;
    MESHPLAN_UNROLL
    for (int j = 0; j < Tiles::kEach; ++j) o_.at[i][j] *= factor;
  }

  __device__ void finish() {
    const AttentionShape& s = call_.shape;
    MESHPLAN_UNROLL
    for (int i = 0; i < Tiles::kEach; ++i) {
      const int query = query_ + Tiles::y(i);
      if (query >= s.queries) continue;
      const C factor = sum_[i] == 0 ? C(0) : 1 / sum_[i];
      MESHPLAN_UNROLL
      for (int j = 0; j < Tiles::kEach; ++j) {
        const int column = chunk_ * Tiles::kSide + Tiles::x(j);
        if (column < s.valueDim)
          call_.o[(headRow() + query) * s.valueDim + column] = T(C(o_.at[i][j] * factor));
      }
      if (chunk_ == 0 && Tiles::x(0) == 0)
        call_.logSums[headRow() + query] =
            C(double(most_[i]) + std::log(double(sum_[i] == 0 ? C(1) : sum_[i])));
    }
  }

  const Forward<T>& call_;
  Tiles& tile_;
  int batch_, head_, query_, chunk_;
  C most_[Tiles::kEach], sum_[Tiles::kEach];
  typename Tiles::Values o_;
};

template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock) forwardKernel(Forward<T> call) {
  __shared__ Tile<Compute<T>> tile;
  ForwardTile<T>(call, tile).run();
}

template <class T>
struct Backward {
  AttentionShape shape;
  const T *q, *k, *v, *dy;
  const Compute<T>*logSums, *products;
  void *dq = nullptr, *dk = nullptr, *dv = nullptr;  // where somebody wants it
  bool wideQuery = false, wideKey = false, wideValue = false;
};

/// Scores of one head and their gradients, for a tile of queries and keys; transposed, rows are
/// keys.
template <class T, bool kTransposed>
struct ScoreTile {
  using C = Compute<T>;
  using Tiles = Tile<C>;
  const Backward<T>& call;
  Tiles& tile;
  int batch, head;

  __device__ int64_t headRow() const {
    return (int64_t{batch} * call.shape.heads() + head) * call.shape.queries;
  }
  __device__ int64_t groupRow() const {
    return (int64_t{batch} * call.shape.groups + head / call.shape.ratio) * call.shape.keys;
  }
  __device__ auto queries(const T* from, int first, int columns) const {
    return rowsFrom(from + headRow() * columns, first, call.shape.queries, columns);
  }
  __device__ auto keys(const T* from, int first, int columns) const {
    return rowsFrom(from + groupRow() * columns, first, call.shape.keys, columns);
  }

  /// p: probabilities after dropout; ds: gradients of the scores with their mask.
  __device__ void compute(int query, int key, typename Tiles::Values& p,
                          typename Tiles::Values& ds) {
    const AttentionShape& s = call.shape;
    const auto q = queries(call.q, query, s.keyDim), dy = queries(call.dy, query, s.valueDim);
    const auto k = keys(call.k, key, s.keyDim), v = keys(call.v, key, s.valueDim);
    tile.addProduct(kTransposed ? k : q, kTransposed ? q : k, p);
    tile.addProduct(kTransposed ? v : dy, kTransposed ? dy : v, ds);
    Tiles::forEach([&](int i, int j) {
      const int row = Tiles::y(i), column = Tiles::x(j);
      one(query + (kTransposed ? column : row), key + (kTransposed ? row : column), p.at[i][j],
          ds.at[i][j]);
    });
  }

 private:
  __device__ void one(int query, int key, C& p, C& ds) const {
    const AttentionShape& s = call.shape;
    const bool seen = query < s.queries && key < s.visible(query);
    const C logSum = seen ? call.logSums[headRow() + query] : C(-INFINITY);
    if (logSum == C(-INFINITY) || logSum == C(INFINITY)) {
      p = ds = 0;
      return;
    }
    p = simd::exp(s.mask.apply(C(p * C(s.scale)), batch, head, query, key) - logSum);
    const C kept = s.kept<C>(batch, head, query, key);
    ds = p * (ds * kept - call.products[headRow() + query]);
    p *= kept;
  }
};

template <class T, class Values>
__device__ void store(void* to, bool wide, int64_t row, int first, int rows, int column,
                      int columns, const Values& values, Compute<T> scale) {
  using Tiles = Tile<Compute<T>>;
  Tiles::forEach([&](int i, int j) {
    const int r = first + Tiles::y(i), c = column + Tiles::x(j);
    if (r < rows && c < columns)
      device::storeGradient<T>(to, wide, (row + r) * columns + c,
                               Compute<T>(values.at[i][j] * scale));
  });
}

template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock) queryGradientKernel(Backward<T> call) {
  using Tiles = Tile<Compute<T>>;
  __shared__ Tiles tile;
  const AttentionShape& s = call.shape;
  const int chunks = (s.keyDim + Tiles::kSide - 1) / Tiles::kSide;
  const int tiles = (s.queries + Tiles::kSide - 1) / Tiles::kSide;
  const int column = int(blockIdx.x) % chunks * Tiles::kSide;
  const int query = int(blockIdx.x) / chunks % tiles * Tiles::kSide;
  const int at = int(blockIdx.x) / chunks / tiles;
  ScoreTile<T, false> scores{call, tile, at / s.heads(), at % s.heads()};
  typename Tiles::Values dq;
  const int end = s.visible(std::min(query + Tiles::kSide, s.queries) - 1);
  for (int key = 0; key < end; key += Tiles::kSide) {
    typename Tiles::Values p, ds;
    scores.compute(query, key, p, ds);
    tile.putFactors(ds);
    tile.addFactorsTimes(scores.keys(call.k, key, s.keyDim), column, dq);
  }
  store<T>(call.dq, call.wideQuery, scores.headRow(), query, s.queries, column, s.keyDim, dq,
           Compute<T>(s.scale));
}

template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock) keyGradientKernel(Backward<T> call) {
  using Tiles = Tile<Compute<T>>;
  __shared__ Tiles tile;
  const AttentionShape& s = call.shape;
  const int chunks = (std::max(s.keyDim, s.valueDim) + Tiles::kSide - 1) / Tiles::kSide;
  const int tiles = (s.keys + Tiles::kSide - 1) / Tiles::kSide;
  const int column = int(blockIdx.x) % chunks * Tiles::kSide;
  const int key = int(blockIdx.x) / chunks % tiles * Tiles::kSide;
  const int at = int(blockIdx.x) / chunks / tiles, group = at % s.groups;
  typename Tiles::Values dk, dv;
  ScoreTile<T, true> scores{call, tile, at / s.groups, group * s.ratio};
  const int first = s.firstQuery(key) / Tiles::kSide * Tiles::kSide;
  for (; scores.head < (group + 1) * s.ratio; ++scores.head)
    for (int query = first; query < s.queries; query += Tiles::kSide) {
      typename Tiles::Values p, ds;
      scores.compute(query, key, p, ds);
      tile.putFactors(ds);
      tile.addFactorsTimes(scores.queries(call.q, query, s.keyDim), column, dk);
      tile.putFactors(p);
      tile.addFactorsTimes(scores.queries(call.dy, query, s.valueDim), column, dv);
    }
  const int64_t row = int64_t{at} * s.keys;
  if (call.dk)
    store<T>(call.dk, call.wideKey, row, key, s.keys, column, s.keyDim, dk, Compute<T>(s.scale));
  if (call.dv)
    store<T>(call.dv, call.wideValue, row, key, s.keys, column, s.valueDim, dv, Compute<T>(1));
}

/// The gradient of a mask: sums of score gradients over what it broadcasts. One block for a tile of
/// the mask's last two dimensions.
template <class T, class M>
struct MaskGradient {
  Backward<T> call;
  int extents[4];  // of the mask
  M* gradient;
};

template <class T>
__device__ void sumOverRows(typename Tile<Compute<T>>::Values& values, Tile<Compute<T>>& tile,
                            bool rows, bool columns) {
  using Tiles = Tile<Compute<T>>;
  tile.putFactors(values);
  __syncthreads();
  Tiles::forEach([&](int i, int j) {
    const int y = rows ? 0 : Tiles::y(i), x = columns ? 0 : Tiles::x(j);
    Compute<T> sum = 0;
    if ((!rows || Tiles::y(i) == 0) && (!columns || Tiles::x(j) == 0))
      for (int r = y; r < (rows ? Tiles::kSide : y + 1); ++r)
        for (int c = x; c < (columns ? Tiles::kSide : x + 1); ++c)
          sum += tile.factors[r * Tiles::kPitch + c];
    values.at[i][j] = sum;
  });
}

template <class T, class M>
__global__ void __launch_bounds__(kThreadsPerBlock) maskGradientKernel(MaskGradient<T, M> m) {
  using Tiles = Tile<Compute<T>>;
  __shared__ Tiles tile;
  const AttentionShape& s = m.call.shape;
  const int* const e = m.extents;
  const int across = (e[3] + Tiles::kSide - 1) / Tiles::kSide;
  const int down = (e[2] + Tiles::kSide - 1) / Tiles::kSide;
  const int column = int(blockIdx.x) % across * Tiles::kSide;
  const int row = int(blockIdx.x) / across % down * Tiles::kSide;
  const int head = int(blockIdx.x) / across / down % e[1];
  const int batch = int(blockIdx.x) / across / down / e[1];
  const int lastQuery = e[2] == 1 ? s.queries : row + 1, lastKey = e[3] == 1 ? s.keys : column + 1;
  typename Tiles::Values sums;
  ScoreTile<T, false> scores{m.call, tile, 0, 0};
  for (scores.batch = batch; scores.batch < (e[0] == 1 ? s.batch : batch + 1); ++scores.batch)
    for (scores.head = head; scores.head < (e[1] == 1 ? s.heads() : head + 1); ++scores.head)
      for (int query = row; query < lastQuery; query += Tiles::kSide)
        for (int key = column; key < lastKey; key += Tiles::kSide) {
          typename Tiles::Values p, ds;
          scores.compute(query, key, p, ds);
          Tiles::forEach([&](int i, int j) { sums.at[i][j] += ds.at[i][j]; });
        }
  sumOverRows<T>(sums, tile, e[2] == 1, e[3] == 1);
  Tiles::forEach([&](int i, int j) {
    const int r = row + Tiles::y(i), c = column + Tiles::x(j);
    if (r < e[2] && c < e[3])
      m.gradient[((int64_t{batch} * e[1] + head) * e[2] + r) * e[3] + c] = M(sums.at[i][j]);
  });
}

template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock)
    rowProductKernel(const T* a, const T* b, int64_t rows, int columns, Compute<T>* sums) {
  const int lane = int(threadIdx.x) % 32;
  const int64_t row = int64_t{blockIdx.x} * kRowsPerBlock + threadIdx.x / 32;
  Compute<T> sum = 0;
  if (row < rows)
    for (int c = lane; c < columns; c += 32)
      sum += Compute<T>(a[row * columns + c]) * Compute<T>(b[row * columns + c]);
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(~0u, sum, lanes);
  if (row < rows && lane == 0) sums[row] = sum;
}

int64_t tilesOf(int64_t extent, int side) {
  return ceilDiv(extent, side);
}

template <class T>
void forward(CudaContext& context, const KernelCall& call) {
  const AttentionShape s = device::attentionShape(context, call);
  constexpr int kSide = Tile<Compute<T>>::kSide;
  launch(context, s.headCount() * tilesOf(s.queries, kSide) * tilesOf(s.valueDim, kSide),
         kThreadsPerBlock, 0, forwardKernel<T>,
         Forward<T>{s, call.inputs[0].as<T>(), call.inputs[1].as<T>(), call.inputs[2].as<T>(),
                    call.outputs[0].as<T>(), call.outputs[1].as<Compute<T>>()});
}

/// With sum(o dy) of every query, computed here.
template <class T>
Backward<T> backwardOf(CudaContext& context, const KernelCall& call) {
  const AttentionShape s = device::attentionShape(context, call);
  auto* const products = static_cast<Compute<T>*>(
      context.scratch(s.headCount() * s.queries * static_cast<int64_t>(sizeof(Compute<T>))));
  rowProducts(context, *call.forwardOutput(0), *call.outputGradient(0), products);
  Backward<T> b{s,
                call.forwardInput(0)->as<T>(),
                call.forwardInput(1)->as<T>(),
                call.forwardInput(2)->as<T>(),
                call.outputGradient(0)->as<T>(),
                call.forwardOutput(1)->as<Compute<T>>(),
                products};
  const auto gradient = [&](size_t i, void*& to, bool& wide) {
    const TensorView* view = call.inputGradient(i);
    to = view ? view->data : nullptr;
    wide = view && view->type.dtype != call.forwardInput(i)->type.dtype;
  };
  gradient(0, b.dq, b.wideQuery);
  gradient(1, b.dk, b.wideKey);
  gradient(2, b.dv, b.wideValue);
  return b;
}

template <class T>
void backward(CudaContext& context, const KernelCall& call) {
  const Backward<T> b = backwardOf<T>(context, call);
  const AttentionShape& s = b.shape;
  constexpr int kSide = Tile<Compute<T>>::kSide;
  if (b.dq)
    launch(context, s.headCount() * tilesOf(s.queries, kSide) * tilesOf(s.keyDim, kSide),
           kThreadsPerBlock, 0, queryGradientKernel<T>, b);
  if (b.dk || b.dv)
    launch(context,
           s.groupCount() * tilesOf(s.keys, kSide) * tilesOf(std::max(s.keyDim, s.valueDim), kSide),
           kThreadsPerBlock, 0, keyGradientKernel<T>, b);
}

template <class T, class M>
void maskGradient(CudaContext& context, const KernelCall& call, const TensorView& to) {
  MaskGradient<T, M> m{backwardOf<T>(context, call), {1, 1, 1, 1}, to.as<M>()};
  const Shape& shape = to.type.shape;
  for (size_t i = 0; i < shape.size(); ++i)
    m.extents[4 - shape.size() + i] = static_cast<int>(shape[i]);
  constexpr int kSide = Tile<Compute<T>>::kSide;
  launch(context,
         int64_t{m.extents[0]} * m.extents[1] * tilesOf(m.extents[2], kSide) *
             tilesOf(m.extents[3], kSide),
         kThreadsPerBlock, 0, maskGradientKernel<T, M>, m);
}

}  // namespace

void rowProducts(CudaContext& context, const TensorView& a, const TensorView& b, void* sums) {
  const int64_t columns = a.type.shape.back(), rows = columns ? a.type.elements() / columns : 0;
  const auto run = [&](auto element) {
    using T = decltype(element);
    launch(context, ceilDiv(rows, kRowsPerBlock), kThreadsPerBlock, 0, rowProductKernel<T>,
           a.as<T>(), b.as<T>(), rows, static_cast<int>(columns), static_cast<Compute<T>*>(sums));
  };
  if (a.type.dtype == DType::f64) return run(double{});
  if (a.type.dtype == DType::bf16) return run(BFloat16{});
  if (a.type.dtype == DType::f16) return run(Half{});
  run(float{});
}

void plainAttention(CudaContext& context, const KernelCall& call) {
  device::withElement(*call.op, call.inputs[0].type.dtype,
                      [&](auto element) { forward<decltype(element)>(context, call); });
}

void plainAttentionGradient(CudaContext& context, const KernelCall& call) {
  device::withElement(*call.op, call.outputGradient(0)->type.dtype,
                      [&](auto element) { backward<decltype(element)>(context, call); });
  attentionMaskGradient(context, call);
}

void attentionMaskGradient(CudaContext& context, const KernelCall& call) {
  const TensorView* to = call.inputGradient(3);
  if (!to) return;
  device::withElement(*call.op, call.outputGradient(0)->type.dtype, [&](auto element) {
    using T = decltype(element);
    if (to->type.dtype == call.outputGradient(0)->type.dtype)
      return maskGradient<T, T>(context, call, *to);
    if (to->type.dtype != DType::f32)
      throw Error(ErrorKind::runtime, "attention's mask and its gradient differ in dtype",
                  "use a mask of the queries' dtype or fp32");
    maskGradient<T, float>(context, call, *to);
  });
}

}  // namespace meshplan
