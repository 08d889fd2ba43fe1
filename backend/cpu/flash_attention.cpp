// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/cpu/attention.h"
#include "backend/cpu/onednn.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/product.h"
#include "backend/cpu/simd.h"

namespace meshplan {
namespace {

/// A block of scores and what it is made from fit in the second-level cache.
constexpr int64_t kQueries = 64, kKeys = 256;

/// Queries [query, query + rows) of one head against keys [key, key + n).
struct Block {
  int64_t batch, head, query, rows, key, n;
};

/// Rows of a matrix as W: in place, or converted into `buffer`.
template <class W, class T>
const W* asWide(const T* from, int64_t count, std::vector<W>& buffer) {
  if constexpr (std::is_same_v<W, T>) return from;
  buffer.resize(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) buffer[static_cast<size_t>(i)] = static_cast<W>(from[i]);
  return buffer.data();
}

template <class W, class T>
void storeWide(const W* from, int64_t count, T* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = T(from[i]);
}

/// Running maximum and sum of each query of a block.
template <class W>
struct Running {
  W most[kQueries], sum[kQueries], factor[kQueries];
  int64_t visible[kQueries];
};

/// Scores become exponentials under the running maximum; `factor` is what earlier sums shrink by.
template <class W>
MESHPLAN_SIMD void exponentials(const Block& b, W* scores, Running<W>& running) {
  constexpr W kNone = -std::numeric_limits<W>::infinity();
  for (int64_t i = 0; i < b.rows; ++i, scores += b.n) {
    const int64_t visible = running.visible[i];
    W most = running.most[i], sum = 0;
#pragma omp simd reduction(max : most)
    for (int64_t j = 0; j < visible; ++j) most = std::max(most, scores[j]);
    const W shift = most == kNone ? W(0) : most;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < visible; ++j) {
      scores[j] = simd::exp(scores[j] - shift);
      sum += scores[j];
    }
    for (int64_t j = visible; j < b.n; ++j) scores[j] = 0;
    const W factor = running.most[i] == kNone ? W(0) : simd::exp(running.most[i] - shift);
    running.factor[i] = factor;
    running.sum[i] = running.sum[i] * factor + sum;
    running.most[i] = most;
  }
}

template <class W>
MESHPLAN_SIMD void scaleRows(int64_t rows, int64_t n, const W* factors, W* values) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < n; ++j) values[i * n + j] *= factors[i];
}

template <class W>
MESHPLAN_SIMD void probabilities(const Block& b, const int64_t* visible, const W* logSums,
                                 W* scores) {
  for (int64_t i = 0; i < b.rows; ++i, scores += b.n) {
    const W shift = logSums[i];
#pragma omp simd
    for (int64_t j = 0; j < visible[i]; ++j) scores[j] = simd::exp(scores[j] - shift);
    for (int64_t j = visible[i]; j < b.n; ++j) scores[j] = 0;
  }
}

/// dS = P (dP - sum(dP P)) in place of dP, where the sum equals sum(dO O).
template <class W>
MESHPLAN_SIMD void scoreGradients(const Block& b, const W* p, const W* sums, W* dp) {
  for (int64_t i = 0; i < b.rows; ++i)
    for (int64_t j = 0; j < b.n; ++j) {
      const int64_t at = i * b.n + j;
      dp[at] = p[at] * (dp[at] - sums[i]);
    }
}

template <class W>
MESHPLAN_SIMD void rowProducts(int64_t rows, int64_t n, const W* a, const W* b, W* sums) {
  for (int64_t i = 0; i < rows; ++i) {
    W sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; ++j) sum += a[i * n + j] * b[i * n + j];
    sums[i] = sum;
  }
}

template <class W>
void drop(const AttentionRules& r, const Block& b, const W* from, W* to) {
  for (int64_t i = 0; i < b.rows; ++i)
    for (int64_t j = 0; j < b.n; ++j)
      to[i * b.n + j] =
          from[i * b.n + j] * static_cast<W>(r.kept(b.batch, b.head, b.query + i, b.key + j));
}

/// What both passes do with one block of queries and keys.
template <class W>
class Scores {
 public:
  Scores(const AttentionRules& rules, const TensorView* mask)
      : rules_(rules), values_(kQueries * kKeys) {
    if (mask) mask_.emplace(*mask);
  }

  W* data() { return values_.data(); }

  /// scale Q K^T with the mask applied; `visible` counts from b.key.
  void compute(const Block& b, const W* q, const W* k, int64_t* visible) {
    multiplyHere({b.rows, b.n, rules_.keyDim}, static_cast<W>(rules_.scale), {q, rules_.keyDim},
                 {k + b.key * rules_.keyDim, rules_.keyDim, true}, W(0), data(), b.n);
    for (int64_t i = 0; i < b.rows; ++i) {
      visible[i] = std::clamp<int64_t>(rules_.visible(b.query + i) - b.key, 0, b.n);
      if (mask_) mask_->apply(b.batch, b.head, b.query + i, b.key, visible[i], data() + i * b.n);
    }
  }

 private:
  const AttentionRules& rules_;
  std::optional<AttentionMask> mask_;
  std::vector<W> values_;
};

/// Calls f(block) for the blocks of keys that a block of queries sees.
template <class F>
void forKeyBlocks(const AttentionRules& r, Block b, F f) {
  const int64_t end = r.visible(b.query + b.rows - 1);
  for (b.key = 0; b.key < end; b.key += kKeys) {
    b.n = std::min(kKeys, end - b.key);
    f(b);
  }
}

template <class T>
class FlashForward {
 public:
  using W = Wide<T>;

  FlashForward(const KernelCall& call, const AttentionRules& rules)
      : call_(call),
        rules_(rules),
        scores_(rules, call.inputs.size() == 4 ? &call.inputs[3] : nullptr) {}

  void run(int64_t batch, int64_t head, int64_t query) {
    const AttentionRules& r = rules_;
    loadGroup(batch * r.groups + head / r.ratio);
    Block b{batch, head, query, std::min(kQueries, r.queries - query), 0, 0};
    const int64_t row = (batch * r.heads() + head) * r.queries + query;
    const W* const q = asWide(call_.inputs[0].as<T>() + row * r.keyDim, b.rows * r.keyDim, query_);
    T* const to = call_.outputs[0].as<T>() + row * r.valueDim;
    W* const o = result(to, b.rows * r.valueDim);
    std::fill_n(running_.most, kQueries, -std::numeric_limits<W>::infinity());
    std::fill_n(running_.sum, kQueries, W(0));
    forKeyBlocks(r, b, [&](const Block& block) { addBlock(block, q, o); });
    finish(b, row, o, to);
  }

 private:
  W* result(T* to, int64_t count) {
    if constexpr (std::is_same_v<W, T>) {
      std::fill_n(to, count, W(0));
      return to;
    }
    result_.assign(static_cast<size_t>(count), W(0));
    return result_.data();
  }

  void loadGroup(int64_t group) {
    if (group == group_) return;
    group_ = group;
    const int64_t k = rules_.keys * rules_.keyDim, v = rules_.keys * rules_.valueDim;
    keyData_ = asWide(call_.inputs[1].as<T>() + group * k, k, keys_);
    valueData_ = asWide(call_.inputs[2].as<T>() + group * v, v, values_);
  }

  void addBlock(const Block& b, const W* q, W* o) {
    scores_.compute(b, q, keyData_, running_.visible);
    exponentials(b, scores_.data(), running_);
    if (rules_.dropout > 0) drop(rules_, b, scores_.data(), scores_.data());
    if (b.key > 0) scaleRows(b.rows, rules_.valueDim, running_.factor, o);
    multiplyHere({b.rows, rules_.valueDim, b.n}, W(1), {scores_.data(), b.n},
                 {valueData_ + b.key * rules_.valueDim, rules_.valueDim}, b.key > 0 ? W(1) : W(0),
                 o, rules_.valueDim);
  }

  void finish(const Block& b, int64_t row, W* o, T* to) {
    const TensorView& logSums = call_.outputs[1];
    W factors[kQueries];
    for (int64_t i = 0; i < b.rows; ++i) {
      const W sum = running_.sum[i];
      factors[i] = sum == 0 ? W(0) : 1 / sum;
      const double logSum = static_cast<double>(running_.most[i]) +
                            std::log(static_cast<double>(sum == 0 ? W(1) : sum));
      if (logSums.type.dtype == DType::f64)
        logSums.as<double>()[row + i] = logSum;
      else
        logSums.as<float>()[row + i] = static_cast<float>(logSum);
    }
    scaleRows(b.rows, rules_.valueDim, factors, o);
    if constexpr (!std::is_same_v<W, T>) storeWide(o, b.rows * rules_.valueDim, to);
  }

  const KernelCall& call_;
  const AttentionRules& rules_;
  Scores<W> scores_;
  Running<W> running_;
  int64_t group_ = -1;
  const W *keyData_ = nullptr, *valueData_ = nullptr;
  std::vector<W> keys_, values_, query_, result_;
};

/// A gradient that is summed in W and stored as T or in fp32.
template <class T>
class Sum {
 public:
  using W = Wide<T>;

  W* start(const TensorView* view, int64_t offset, int64_t count) {
    view_ = view;
    offset_ = offset;
    count_ = count;
    if (!view) return nullptr;
    if constexpr (std::is_same_v<W, T>) {
      std::fill_n(view->as<T>() + offset, count, W(0));
      return view->as<T>() + offset;
    }
    buffer_.assign(static_cast<size_t>(count), W(0));
    return buffer_.data();
  }

  void finish() {
    if constexpr (!std::is_same_v<W, T>) {
      if (!view_) return;
      if (view_->type.dtype == DType::f32)
        storeWide(buffer_.data(), count_, view_->as<W>() + offset_);
      else
        storeWide(buffer_.data(), count_, view_->as<T>() + offset_);
    }
  }

 private:
  const TensorView* view_ = nullptr;
  int64_t offset_ = 0, count_ = 0;
  std::vector<W> buffer_;
};

template <class T>
class FlashBackward {
 public:
  using W = Wide<T>;

  FlashBackward(const KernelCall& call, const AttentionRules& rules, double* maskSums)
      : call_(call),
        rules_(rules),
        scores_(rules, call.forwardInput(3)),
        gradients_(kQueries * kKeys),
        dropped_(rules.dropout > 0 ? kQueries * kKeys : 0),
        maskSums_(maskSums) {
    if (maskSums) maskGradient_.emplace(*call.inputGradient(3));
  }

  /// All heads of one group of keys and values.
  void run(int64_t batch, int64_t group) {
    const AttentionRules& r = rules_;
    const int64_t at = batch * r.groups + group;
    const int64_t k = r.keys * r.keyDim, v = r.keys * r.valueDim;
    k_ = asWide(call_.forwardInput(1)->as<T>() + at * k, k, keys_);
    v_ = asWide(call_.forwardInput(2)->as<T>() + at * v, v, values_);
    dk_ = keySum_.start(call_.inputGradient(1), at * k, k);
    dv_ = valueSum_.start(call_.inputGradient(2), at * v, v);
    for (int64_t head = group * r.ratio; head < (group + 1) * r.ratio; ++head)
      for (int64_t query = 0; query < r.queries; query += kQueries) runQueries(batch, head, query);
    keySum_.finish();
    valueSum_.finish();
  }

 private:
  void runQueries(int64_t batch, int64_t head, int64_t query) {
    const AttentionRules& r = rules_;
    const Block b{batch, head, query, std::min(kQueries, r.queries - query), 0, 0};
    const int64_t row = (batch * r.heads() + head) * r.queries + query;
    const int64_t k = b.rows * r.keyDim, v = b.rows * r.valueDim;
    q_ = asWide(call_.forwardInput(0)->as<T>() + row * r.keyDim, k, query_);
    do_ = asWide(call_.outputGradient(0)->as<T>() + row * r.valueDim, v, incoming_);
    const W* const o = asWide(call_.forwardOutput(0)->as<T>() + row * r.valueDim, v, output_);
    dq_ = querySum_.start(call_.inputGradient(0), row * r.keyDim, k);
    rowProducts(b.rows, r.valueDim, do_, o, products_);
    loadLogSums(b, row);
    forKeyBlocks(r, b, [&](const Block& block) { addBlock(block); });
    querySum_.finish();
  }

  void loadLogSums(const Block& b, int64_t row) {
    const TensorView& from = *call_.forwardOutput(1);
    for (int64_t i = 0; i < b.rows; ++i) {
      const W value = from.type.dtype == DType::f64 ? static_cast<W>(from.as<double>()[row + i])
                                                    : static_cast<W>(from.as<float>()[row + i]);
      logSums_[i] = std::isinf(value) ? std::numeric_limits<W>::infinity() : value;
    }
  }

  void addBlock(const Block& b) {
    const AttentionRules& r = rules_;
    int64_t visible[kQueries];
    scores_.compute(b, q_, k_, visible);
    W *const p = scores_.data(), *const ds = gradients_.data();
    probabilities(b, visible, logSums_, p);
    const W* used = p;
    if (r.dropout > 0) {
      drop(r, b, p, dropped_.data());
      used = dropped_.data();
    }
    if (dv_)
      multiplyHere({b.n, r.valueDim, b.rows}, W(1), {used, b.n, true}, {do_, r.valueDim}, W(1),
                   dv_ + b.key * r.valueDim, r.valueDim);
    multiplyHere({b.rows, b.n, r.valueDim}, W(1), {do_, r.valueDim},
                 {v_ + b.key * r.valueDim, r.valueDim, true}, W(0), ds, b.n);
    if (r.dropout > 0) drop(r, b, ds, ds);
    scoreGradients(b, p, products_, ds);
    spread(b, ds);
  }

  void spread(const Block& b, const W* ds) {
    const AttentionRules& r = rules_;
    const W scale = static_cast<W>(r.scale);
    if (dq_)
      multiplyHere({b.rows, r.keyDim, b.n}, scale, {ds, b.n}, {k_ + b.key * r.keyDim, r.keyDim},
                   W(1), dq_, r.keyDim);
    if (dk_)
      multiplyHere({b.n, r.keyDim, b.rows}, scale, {ds, b.n, true}, {q_, r.keyDim}, W(1),
                   dk_ + b.key * r.keyDim, r.keyDim);
    std::vector<double> wide(maskGradient_ ? static_cast<size_t>(b.n) : 0);
    for (int64_t i = 0; maskGradient_ && i < b.rows; ++i) {
      std::copy_n(ds + i * b.n, b.n, wide.data());
      maskGradient_->gather(b.batch, b.head, b.query + i, b.key, b.n, wide.data(), maskSums_);
    }
  }

  const KernelCall& call_;
  const AttentionRules& rules_;
  Scores<W> scores_;
  std::vector<W> gradients_, dropped_;
  double* maskSums_;
  std::optional<AttentionMask> maskGradient_;
  Sum<T> querySum_, keySum_, valueSum_;
  std::vector<W> keys_, values_, query_, incoming_, output_;
  const W *k_ = nullptr, *v_ = nullptr, *q_ = nullptr, *do_ = nullptr;
  W *dk_ = nullptr, *dv_ = nullptr, *dq_ = nullptr;
  W products_[kQueries], logSums_[kQueries];
};

template <class T>
void runForward(CpuContext& context, const KernelCall& call) {
  const AttentionRules r(call, call.inputs[0].type.shape, call.inputs[1].type.shape,
                         call.inputs[2].type.shape);
  const int64_t blocks = ceilDiv(r.queries, kQueries);
  const int64_t work = r.queries * r.keys * (r.keyDim + r.valueDim) / std::max<int64_t>(blocks, 1);
  parallelRanges(context, r.batch * r.heads() * blocks, work, [&](int64_t begin, int64_t end) {
    FlashForward<T> flash(call, r);
    for (int64_t i = begin; i < end; ++i)
      flash.run(i / blocks / r.heads(), i / blocks % r.heads(), i % blocks * kQueries);
  });
}

template <class T>
void runBackward(CpuContext& context, const KernelCall& call) {
  const AttentionRules r(call, call.forwardInput(0)->type.shape, call.forwardInput(1)->type.shape,
                         call.forwardInput(2)->type.shape);
  const TensorView* dm = call.inputGradient(3);
  std::vector<double> maskSums(dm ? static_cast<size_t>(dm->type.elements()) : 0);
  const int64_t count = r.batch * r.groups;
  const auto run = [&](int64_t begin, int64_t end) {
    FlashBackward<T> flash(call, r, dm ? maskSums.data() : nullptr);
    for (int64_t i = begin; i < end; ++i) flash.run(i / r.groups, i % r.groups);
  };
  if (!dm) return parallelRanges(context, count, r.ratio * r.queries * r.keys * r.keyDim, run);
  run(0, count);  // batches and heads may share a mask
  forElementType(*call.op, dm->type.dtype, [&](auto element) {
    using E = decltype(element);
    for (size_t i = 0; i < maskSums.size(); ++i)
      dm->as<E>()[i] = E(static_cast<Wide<E>>(maskSums[i]));
  });
}

}  // namespace

void flashAttention(CpuContext& context, const KernelCall& call) {
  prepareDnnl(context);
  forElementType(*call.op, call.inputs[0].type.dtype,
                 [&](auto element) { runForward<decltype(element)>(context, call); });
}

void flashAttentionGradient(CpuContext& context, const KernelCall& call) {
  prepareDnnl(context);
  forElementType(*call.op, call.outputGradient(0)->type.dtype,
                 [&](auto element) { runBackward<decltype(element)>(context, call); });
}

}  // namespace meshplan
