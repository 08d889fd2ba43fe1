// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/attention.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "backend/cpu/parallel.h"
#include "backend/cpu/product.h"
#include "backend/cpu/simd.h"

namespace meshplan {
namespace {

bool isFlash(const KernelCall& call) {
  return call.op->attributes.getString("implementation", "flash").substr(0, 5) == "flash";
}

/// Views of [batch, heads, rows, columns] as batch x groups matrices of ratio * rows rows: the
/// heads of a group lie one after another.
Matrices byGroup(const TensorView& view, int64_t rows) {
  const int64_t columns = view.type.shape[3];
  return rowMajor(view, columns, rows * columns);
}

template <class T>
MESHPLAN_SIMD void softmaxRow(int64_t n, int64_t visible, T* scores) {
  using W = Wide<T>;
  W most = -std::numeric_limits<W>::infinity(), sum = 0;
#pragma omp simd reduction(max : most)
  for (int64_t j = 0; j < visible; ++j) most = std::max(most, static_cast<W>(scores[j]));
  const W shift = most == -std::numeric_limits<W>::infinity() ? W(0) : most;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < visible; ++j) sum += simd::exp(static_cast<W>(scores[j]) - shift);
  const W factor = sum == 0 ? W(0) : 1 / sum;
#pragma omp simd
  for (int64_t j = 0; j < visible; ++j)
    scores[j] = T(simd::exp(static_cast<W>(scores[j]) - shift) * factor);
  std::fill(scores + visible, scores + n, T(W(0)));
}

/// Calls f(batch, head, query, first element of the row of scores) for all of them.
template <class F>
void forRows(const CpuContext& context, const AttentionRules& r, F f) {
  parallelRanges(context, r.batch * r.heads(), r.queries * r.keys * 4,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i)
                     for (int64_t q = 0; q < r.queries; ++q)
                       f(i / r.heads(), i % r.heads(), q, (i * r.queries + q) * r.keys);
                 });
}

template <class T>
void dropScores(const AttentionRules& r, const CpuContext& context, const TensorView& p,
                const TensorView& mask, const TensorView& dropped) {
  using W = Wide<T>;
  forRows(context, r, [&](int64_t b, int64_t h, int64_t q, int64_t at) {
    for (int64_t j = 0; j < r.keys; ++j) {
      const double kept = r.kept(b, h, q, j);
      mask.as<uint8_t>()[at + j] = kept != 0;
      dropped.as<T>()[at + j] = T(static_cast<W>(p.as<T>()[at + j]) * static_cast<W>(kept));
    }
  });
}

/// Scores in memory: one product, scale, mask and softmax, dropout, another product.
template <class T>
void mathAttention(CpuContext& context, const KernelCall& call) {
  const TensorView &q = call.inputs[0], &k = call.inputs[1], &v = call.inputs[2];
  const TensorView &o = call.outputs[0], &p = call.outputs[1];
  const AttentionRules r(call, q.type.shape, k.type.shape, v.type.shape);
  const int64_t rows = r.ratio * r.queries, batch = r.batch * r.groups;
  multiply(context, {rows, r.keys, r.keyDim, batch}, byGroup(q, rows),
           byGroup(k, r.keys).transposed(), byGroup(p, rows), {.scale = r.scale});
  const auto mask =
      call.inputs.size() == 4 ? std::optional<AttentionMask>(call.inputs[3]) : std::nullopt;
  forRows(context, r, [&](int64_t b, int64_t h, int64_t query, int64_t at) {
    T* const scores = p.as<T>() + at;
    if (mask) mask->apply(b, h, query, 0, r.keys, scores);
    softmaxRow(r.keys, r.visible(query), scores);
  });
  const bool drops = call.outputs.size() == 4;
  if (drops) dropScores<T>(r, context, p, call.outputs[2], call.outputs[3]);
  multiply(context, {rows, r.valueDim, r.keys, batch}, byGroup(drops ? call.outputs[3] : p, rows),
           byGroup(v, r.keys), byGroup(o, rows));
}

/// dS = P (dP - sum over keys of dP P), in place of dP.
template <class T>
MESHPLAN_SIMD void scoreGradientRow(int64_t n, const T* p, const uint8_t* mask, Wide<T> kept,
                                    T* dp) {
  using W = Wide<T>;
  W sum = 0;
  if (mask)
    for (int64_t j = 0; j < n; ++j) dp[j] = T(mask[j] ? static_cast<W>(dp[j]) * kept : W(0));
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < n; ++j) sum += static_cast<W>(dp[j]) * static_cast<W>(p[j]);
#pragma omp simd
  for (int64_t j = 0; j < n; ++j) dp[j] = T(static_cast<W>(p[j]) * (static_cast<W>(dp[j]) - sum));
}

template <class T>
void gatherMaskGradient(const AttentionRules& r, const TensorView& scores, const TensorView& to,
                        const KernelCall& call) {
  std::vector<double> sums(static_cast<size_t>(to.type.elements()));
  const AttentionMask mask(to);
  std::vector<double> row(static_cast<size_t>(r.keys));
  for (int64_t i = 0; i < r.batch * r.heads() * r.queries; ++i) {
    for (int64_t j = 0; j < r.keys; ++j)
      row[static_cast<size_t>(j)] = static_cast<double>(scores.as<T>()[i * r.keys + j]);
    mask.gather(i / r.queries / r.heads(), i / r.queries % r.heads(), i % r.queries, 0, r.keys,
                row.data(), sums.data());
  }
  forElementType(*call.op, to.type.dtype, [&](auto element) {
    using E = decltype(element);
    for (size_t i = 0; i < sums.size(); ++i) to.as<E>()[i] = E(static_cast<Wide<E>>(sums[i]));
  });
}

template <class T>
void mathAttentionGradient(CpuContext& context, const KernelCall& call) {
  const TensorView &q = *call.forwardInput(0), &k = *call.forwardInput(1);
  const TensorView &v = *call.forwardInput(2), &dy = *call.outputGradient(0);
  const TensorView &p = *call.forwardOutput(1), *mask = call.forwardOutput(2);
  const TensorView& dropped = mask ? *call.forwardOutput(3) : p;
  const AttentionRules r(call, q.type.shape, k.type.shape, v.type.shape);
  const int64_t rows = r.ratio * r.queries, batch = r.batch * r.groups;
  if (const TensorView* dv = call.inputGradient(2))
    multiply(context, {r.keys, r.valueDim, rows, batch}, byGroup(dropped, rows).transposed(),
             byGroup(dy, rows), byGroup(*dv, r.keys));
  const TensorView scores{context.scratch(static_cast<size_t>(p.type.bytes().value)), p.type};
  multiply(context, {rows, r.keys, r.valueDim, batch}, byGroup(dy, rows),
           byGroup(v, r.keys).transposed(), byGroup(scores, rows));
  forRows(context, r, [&](int64_t, int64_t, int64_t, int64_t at) {
    scoreGradientRow(r.keys, p.as<T>() + at, mask ? mask->as<uint8_t>() + at : nullptr,
                     static_cast<Wide<T>>(1 / (1 - r.dropout)), scores.as<T>() + at);
  });
  if (const TensorView* dq = call.inputGradient(0))
    multiply(context, {rows, r.keyDim, r.keys, batch}, byGroup(scores, rows), byGroup(k, r.keys),
             byGroup(*dq, rows), {.scale = r.scale});
  if (const TensorView* dk = call.inputGradient(1))
    multiply(context, {r.keys, r.keyDim, rows, batch}, byGroup(scores, rows).transposed(),
             byGroup(q, rows), byGroup(*dk, r.keys), {.scale = r.scale});
  if (const TensorView* dm = call.inputGradient(3)) gatherMaskGradient<T>(r, scores, *dm, call);
}

void attention(CpuContext& context, const KernelCall& call) {
  if (isFlash(call)) return flashAttention(context, call);
  forElementType(*call.op, call.inputs[0].type.dtype,
                 [&](auto element) { mathAttention<decltype(element)>(context, call); });
}

void attentionGradient(CpuContext& context, const KernelCall& call) {
  if (isFlash(call)) return flashAttentionGradient(context, call);
  forElementType(*call.op, call.outputGradient(0)->type.dtype,
                 [&](auto element) { mathAttentionGradient<decltype(element)>(context, call); });
}

AxisRange rangeOf(const KernelCall& call, size_t axis, int64_t extent) {
  return axis < call.axes.size() ? call.axes[axis] : AxisRange{0, extent, extent};
}

constexpr std::array<CpuKernels, 1> kKernels{{{"Attention", attention, attentionGradient}}};

}  // namespace

AttentionRules::AttentionRules(const KernelCall& call, const Shape& q, const Shape& k,
                               const Shape& v)
    : batch(q[0]),
      groups(k[1]),
      ratio(k[1] ? q[1] / k[1] : 1),
      queries(q[2]),
      keys(k[2]),
      keyDim(q[3]),
      valueDim(v[3]),
      causal(call.op->attributes.getInt("causal", 0) != 0),
      scale(call.op->attributes.getFloat("scale", 1 / std::sqrt(static_cast<double>(q[3])))),
      dropout(call.training ? call.op->attributes.getFloat("dropout", 0) : 0),
      batchRange(rangeOf(call, 0, batch)),
      groupRange(rangeOf(call, 1, groups)),
      ratioRange(rangeOf(call, 2, ratio)),
      queryRange(rangeOf(call, 3, queries)),
      keyRange(rangeOf(call, 4, keys)),
      random(call.seed, call.op->name) {}

int64_t AttentionRules::visible(int64_t query) const {
  if (!causal) return keys;
  return std::clamp<int64_t>(queryRange.begin + query + 1 - keyRange.begin, 0, keys);
}

double AttentionRules::kept(int64_t b, int64_t head, int64_t query, int64_t key) const {
  if (dropout == 0) return 1;
  const int64_t group = groupRange.begin + head / ratio, own = ratioRange.begin + head % ratio;
  int64_t place = batchRange.begin + b;
  place = place * groupRange.whole * ratioRange.whole + group * ratioRange.whole + own;
  place =
      (place * queryRange.whole + queryRange.begin + query) * keyRange.whole + keyRange.begin + key;
  return random.uniform(static_cast<uint64_t>(place)) < dropout ? 0 : 1 / (1 - dropout);
}

AttentionMask::AttentionMask(const TensorView& mask) : view_(mask) {
  int64_t stride = 1;
  for (size_t i = 0; i < mask.type.shape.size(); ++i) {
    const int64_t extent = mask.type.shape[mask.type.shape.size() - 1 - i];
    strides_[3 - i] = extent == 1 ? 0 : stride;
    stride *= extent;
  }
}

std::span<const CpuKernels> attentionKernels() {
  return kKernels;
}

}  // namespace meshplan
