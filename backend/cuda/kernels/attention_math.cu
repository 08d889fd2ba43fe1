// SPDX-License-Identifier: Apache-2.0
// CPU reference: backend/cpu/attention.cpp. Rounds where it does: after each product, the mask, the
// softmax and the dropout. The softmax passes are bound by bandwidth.
#include "backend/cuda/attention_kernels.h"
#include "backend/cuda/kernels/attention_shape.h"
#include "backend/cuda/matrix.h"

namespace meshplan {
namespace {

using device::AttentionShape;
using device::Compute;

constexpr int kRowsPerBlock = kThreadsPerBlock / 32;

/// A matrix per group: the heads of a group lie one after another.
Matrices byGroup(const TensorView& view, int64_t rows) {
  const int64_t columns = view.type.shape[3];
  return rowMajor(view, columns, rows * columns);
}

void product(CudaContext& context, const ProductExtents& extents, const Matrices& a,
             const Matrices& b, const Matrices& c, double scale = 1) {
  MatrixProduct p;
  p.extents = extents;
  p.a = a;
  p.b = b;
  p.c = c;
  p.scale = scale;
  multiply(context, p);
}

/// A row of scores, the work of one warp.
struct Row {
  int batch, head, query, lane;
  int64_t first;  // element
  bool inside;

  __device__ explicit Row(const AttentionShape& s) {
    const int64_t row = int64_t{blockIdx.x} * kRowsPerBlock + threadIdx.x / 32;
    lane = int(threadIdx.x) % 32;
    inside = row < s.headCount() * s.queries;
    query = int(row % s.queries);
    head = int(row / s.queries % s.heads());
    batch = int(row / s.queries / s.heads());
    first = row * s.keys;
  }
};

template <class C>
__device__ C warpSum(C value) {
  for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(~0u, value, lanes);
  return value;
}
template <class C>
__device__ C warpMaximum(C value) {
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    const C other = __shfl_xor_sync(~0u, value, lanes);
    value = other > value ? other : value;
  }
  return value;
}

template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock)
    softmaxKernel(AttentionShape s, T* scores, uint8_t* keptMask, T* dropped) {
  using C = Compute<T>;
  const Row row(s);
  const int visible = row.inside ? s.visible(row.query) : 0;
  T* const at = scores + row.first;
  C most = -INFINITY, sum = 0;
  for (int j = row.lane; j < visible; j += 32) {
    const T score(s.mask.apply(C(at[j]), row.batch, row.head, row.query, j));
    if (s.mask.data) at[j] = score;
    most = C(score) > most ? C(score) : most;
  }
  most = warpMaximum(most);
  const C shift = most == C(-INFINITY) ? C(0) : most;
  for (int j = row.lane; j < visible; j += 32) sum += simd::exp(C(at[j]) - shift);
  sum = warpSum(sum);
  const C factor = sum == 0 ? C(0) : 1 / sum;
  for (int j = row.lane; row.inside && j < s.keys; j += 32) {
    const T p(j < visible ? C(simd::exp(C(at[j]) - shift) * factor) : C(0));
    at[j] = p;
    if (!dropped) continue;
    const C kept = s.kept<C>(row.batch, row.head, row.query, j);
    keptMask[row.first + j] = kept != 0;
    dropped[row.first + j] = T(C(C(p) * kept));
  }
}

/// dS = P (dP - sum over keys of dP P), in place of dP.
template <class T>
__global__ void __launch_bounds__(kThreadsPerBlock)
    scoreGradientKernel(AttentionShape s, const T* p, const uint8_t* keptMask, T* dp) {
  using C = Compute<T>;
  const Row row(s);
  const C kept = C(1 / (1 - s.dropout.rate));
  C sum = 0;
  for (int j = row.lane; row.inside && j < s.keys; j += 32) {
    const int64_t at = row.first + j;
    if (keptMask) dp[at] = T(keptMask[at] ? C(C(dp[at]) * kept) : C(0));
    sum += C(dp[at]) * C(p[at]);
  }
  sum = warpSum(sum);
  for (int j = row.lane; row.inside && j < s.keys; j += 32) {
    const int64_t at = row.first + j;
    dp[at] = T(C(C(p[at]) * (C(dp[at]) - sum)));
  }
}

/// Sums score gradients over what a mask broadcasts; a warp for each of its elements, lanes along
/// the keys where it has only one.
template <class T, class M>
__global__ void __launch_bounds__(kThreadsPerBlock)
    maskSumKernel(AttentionShape s, int e0, int e1, int e2, int e3, const T* scores, M* gradient) {
  const int64_t element = int64_t{blockIdx.x} * kRowsPerBlock + threadIdx.x / 32;
  const bool inside = element < int64_t{e0} * e1 * e2 * e3;
  const int key = int(element % e3), query = int(element / e3 % e2);
  const int head = int(element / e3 / e2 % e1), batch = int(element / e3 / e2 / e1);
  double sum = 0;
  const int batches = e0 == 1 ? s.batch : 1, heads = e1 == 1 ? s.heads() : 1;
  const int64_t queries = e2 == 1 ? s.queries : 1, keys = e3 == 1 ? s.keys : 1;
  // Lane by lane over all (batch, head, query, key) that share the element, keys innermost.
  const int64_t count = batches * heads * queries * keys;
  for (int64_t i = threadIdx.x % 32; inside && i < count; i += 32) {
    const int64_t k = key + i % keys, q = query + i / keys % queries;
    const int64_t h = head + i / keys / queries % heads, b = batch + i / keys / queries / heads;
    sum += Compute<T>(scores[((b * s.heads() + h) * s.queries + q) * s.keys + k]);
  }
  sum = warpSum(sum);
  if (inside && threadIdx.x % 32 == 0) gradient[element] = M(static_cast<Compute<M>>(sum));
}

template <class T>
void forward(CudaContext& context, const KernelCall& call) {
  const TensorView &q = call.inputs[0], &k = call.inputs[1], &v = call.inputs[2];
  const TensorView &o = call.outputs[0], &p = call.outputs[1];
  const AttentionShape s = device::attentionShape(context, call);
  const int64_t rows = int64_t{s.ratio} * s.queries, batch = s.groupCount();
  product(context, {rows, s.keys, s.keyDim, batch}, byGroup(q, rows),
          byGroup(k, s.keys).transposed(), byGroup(p, rows), s.scale);
  const bool drops = call.outputs.size() == 4;
  launch(context, ceilDiv(s.headCount() * s.queries, kRowsPerBlock), kThreadsPerBlock, 0,
         softmaxKernel<T>, s, p.as<T>(), drops ? call.outputs[2].as<uint8_t>() : nullptr,
         drops ? call.outputs[3].as<T>() : nullptr);
  product(context, {rows, s.valueDim, s.keys, batch}, byGroup(drops ? call.outputs[3] : p, rows),
          byGroup(v, s.keys), byGroup(o, rows));
}

template <class T>
void maskGradient(CudaContext& context, const KernelCall& call, const AttentionShape& s,
                  const T* scores, const TensorView& to) {
  int e[4] = {1, 1, 1, 1};
  const Shape& shape = to.type.shape;
  for (size_t i = 0; i < shape.size(); ++i) e[4 - shape.size() + i] = static_cast<int>(shape[i]);
  device::withElement(*call.op, to.type.dtype, [&](auto element) {
    using M = decltype(element);
    launch(context, ceilDiv(to.type.elements(), kRowsPerBlock), kThreadsPerBlock, 0,
           maskSumKernel<T, M>, s, e[0], e[1], e[2], e[3], scores, to.as<M>());
  });
}

template <class T>
void backward(CudaContext& context, const KernelCall& call) {
  const TensorView &q = *call.forwardInput(0), &k = *call.forwardInput(1);
  const TensorView &v = *call.forwardInput(2), &dy = *call.outputGradient(0);
  const TensorView &p = *call.forwardOutput(1), *mask = call.forwardOutput(2);
  const AttentionShape s = device::attentionShape(context, call);
  const int64_t rows = int64_t{s.ratio} * s.queries, batch = s.groupCount();
  if (const TensorView* dv = call.inputGradient(2))
    product(context, {s.keys, s.valueDim, rows, batch},
            byGroup(mask ? *call.forwardOutput(3) : p, rows).transposed(), byGroup(dy, rows),
            byGroup(*dv, s.keys));
  const TensorView scores{context.scratch(p.type.bytes().value), p.type};
  product(context, {rows, s.keys, s.valueDim, batch}, byGroup(dy, rows),
          byGroup(v, s.keys).transposed(), byGroup(scores, rows));
  launch(context, ceilDiv(s.headCount() * s.queries, kRowsPerBlock), kThreadsPerBlock, 0,
         scoreGradientKernel<T>, s, p.as<T>(), mask ? mask->as<uint8_t>() : nullptr,
         scores.as<T>());
  if (const TensorView* dq = call.inputGradient(0))
    product(context, {rows, s.keyDim, s.keys, batch}, byGroup(scores, rows), byGroup(k, s.keys),
            byGroup(*dq, rows), s.scale);
  if (const TensorView* dk = call.inputGradient(1))
    product(context, {s.keys, s.keyDim, rows, batch}, byGroup(scores, rows).transposed(),
            byGroup(q, rows), byGroup(*dk, s.keys), s.scale);
  if (const TensorView* dm = call.inputGradient(3))
    maskGradient(context, call, s, scores.as<T>(), *dm);
}

}  // namespace

void mathAttention(CudaContext& context, const KernelCall& call) {
  device::withElement(*call.op, call.inputs[0].type.dtype,
                      [&](auto element) { forward<decltype(element)>(context, call); });
}

void mathAttentionGradient(CudaContext& context, const KernelCall& call) {
  device::withElement(*call.op, call.outputGradient(0)->type.dtype,
                      [&](auto element) { backward<decltype(element)>(context, call); });
}

}  // namespace meshplan
