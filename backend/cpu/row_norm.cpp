// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/cpu/element.h"
#include "backend/cpu/normalization.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/simd.h"

namespace meshplan {
namespace {

template <class W>
struct RowStatistics {
  W mean, rstd;
};

template <class T>
MESHPLAN_INLINE RowStatistics<Wide<T>> statisticsOf(const T* x, int64_t f, Wide<T> epsilon,
                                                    bool centred) {
  using W = Wide<T>;
  W sum = 0, squares = 0;
  if (centred) {
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < f; ++j) sum += static_cast<W>(x[j]);
  }
  const W mean = sum / static_cast<W>(f);
#pragma omp simd reduction(+ : squares)
  for (int64_t j = 0; j < f; ++j) {
    const W d = static_cast<W>(x[j]) - mean;
    squares += d * d;
  }
  return {mean, 1 / std::sqrt(squares / static_cast<W>(f) + epsilon)};
}

template <class T>
struct RowNorm {
  int64_t rows, f;
  bool centred;
  Wide<T> epsilon;
  const Wide<T>* scale;
};

template <class T>
MESHPLAN_SIMD void normaliseRows(const RowNorm<T>& norm, const Wide<T>* shift, const T* x, T* y) {
  using W = Wide<T>;
  const int64_t f = norm.f;
  const W* const scale = norm.scale;
  for (int64_t i = 0; i < norm.rows; ++i, x += f, y += f) {
    const auto [mean, rstd] = statisticsOf(x, f, norm.epsilon, norm.centred);
#pragma omp simd
    for (int64_t j = 0; j < f; ++j)
      y[j] = T((static_cast<W>(x[j]) - mean) * rstd * scale[j] + shift[j]);
  }
}

template <class T>
MESHPLAN_SIMD void inputGradientRows(const RowNorm<T>& norm, const T* x, const T* dy, T* dx) {
  using W = Wide<T>;
  const int64_t f = norm.f;
  const W* const scale = norm.scale;
  for (int64_t i = 0; i < norm.rows; ++i, x += f, dy += f, dx += f) {
    const auto [mean, rstd] = statisticsOf(x, f, norm.epsilon, norm.centred);
    W sum = 0, product = 0;
#pragma omp simd reduction(+ : sum, product)
    for (int64_t j = 0; j < f; ++j) {
      const W g = static_cast<W>(dy[j]) * scale[j];
      sum += g;
      product += g * (static_cast<W>(x[j]) - mean);
    }
    const W offset = norm.centred ? sum / static_cast<W>(f) : W(0);
    const W slope = product * rstd * rstd / static_cast<W>(f);
#pragma omp simd
    for (int64_t j = 0; j < f; ++j)
      dx[j] = T(rstd * (static_cast<W>(dy[j]) * scale[j] - offset -
                        (static_cast<W>(x[j]) - mean) * slope));
  }
}

/// Adds dy and dy times the normalised input over the rows.
template <class T>
MESHPLAN_SIMD void scaleGradientRows(const RowNorm<T>& norm, const T* x, const T* dy,
                                     Wide<T>* scales, Wide<T>* shifts) {
  using W = Wide<T>;
  const int64_t f = norm.f;
  for (int64_t i = 0; i < norm.rows; ++i, x += f, dy += f) {
    const auto [mean, rstd] = statisticsOf(x, f, norm.epsilon, norm.centred);
#pragma omp simd
    for (int64_t j = 0; j < f; ++j) {
      const W g = static_cast<W>(dy[j]);
      scales[j] += g * ((static_cast<W>(x[j]) - mean) * rstd);
      shifts[j] += g;
    }
  }
}

/// Where each feature finds its scale, when scales broadcast to the features.
std::vector<int64_t> broadcastIndex(const Shape& scale, const Shape& features) {
  std::vector<int64_t> index{0};
  int64_t stride = elementCount(scale);
  for (size_t d = 0; d < features.size(); ++d) {
    const int64_t missing = static_cast<int64_t>(features.size() - scale.size());
    const int64_t at = static_cast<int64_t>(d) - missing;
    const int64_t extent = at < 0 ? 1 : scale[static_cast<size_t>(at)];
    stride /= std::max<int64_t>(extent, 1);
    std::vector<int64_t> next;
    for (int64_t base : index)
      for (int64_t i = 0; i < features[d]; ++i)
        next.push_back(base + (extent == 1 ? 0 : i * stride));
    index = std::move(next);
  }
  return index;
}

struct Rows {
  int64_t rows, f;
  Shape features;

  Rows(const KernelCall& call, const Shape& x) {
    const int64_t axis = call.op->attributes.getInt("axis", -1);
    const auto rank = static_cast<int64_t>(x.size());
    features.assign(x.begin() + (axis < 0 ? axis + rank : axis), x.end());
    f = elementCount(features);
    rows = f == 0 ? 0 : elementCount(x) / f;
  }
};

/// A scale or a shift for every feature; `missing` where there is none.
template <class W>
std::vector<W> perFeature(const KernelCall& call, const TensorView* view, const Rows& r,
                          W missing) {
  std::vector<W> values(static_cast<size_t>(r.f), missing);
  if (!view) return values;
  const auto index = broadcastIndex(view->type.shape, r.features);
  forElementType(*call.op, view->type.dtype, [&](auto element) {
    const auto* const from = view->as<decltype(element)>();
    for (size_t j = 0; j < values.size(); ++j) values[j] = static_cast<W>(from[index[j]]);
  });
  return values;
}

template <class W>
void storePerFeature(const KernelCall& call, const TensorView* to, const W* sums, const Rows& r) {
  if (!to) return;
  const auto index = broadcastIndex(to->type.shape, r.features);
  std::vector<W> total(static_cast<size_t>(to->type.elements()), W(0));
  for (size_t j = 0; j < index.size(); ++j) total[static_cast<size_t>(index[j])] += sums[j];
  forElementType(*call.op, to->type.dtype, [&](auto element) {
    using E = decltype(element);
    for (size_t i = 0; i < total.size(); ++i) to->as<E>()[i] = E(total[i]);
  });
}

template <class T>
RowNorm<T> normOf(const KernelCall& call, const Rows& r, bool centred,
                  const std::vector<Wide<T>>& scale) {
  const auto epsilon = static_cast<Wide<T>>(call.op->attributes.getFloat("epsilon", 1e-5));
  return {r.rows, r.f, centred, epsilon, scale.data()};
}

template <class T>
void runForward(CpuContext& context, const KernelCall& call, bool centred) {
  using W = Wide<T>;
  const TensorView& x = call.inputs[0];
  const Rows r(call, x.type.shape);
  const auto scale = perFeature<W>(call, &call.inputs[1], r, 1);
  const auto shift = perFeature<W>(call, call.inputs.size() > 2 ? &call.inputs[2] : nullptr, r, 0);
  parallelRanges(context, r.rows, r.f, [&](int64_t begin, int64_t end) {
    RowNorm<T> norm = normOf<T>(call, r, centred, scale);
    norm.rows = end - begin;
    normaliseRows(norm, shift.data(), x.as<T>() + begin * r.f,
                  call.outputs[0].as<T>() + begin * r.f);
  });
}

template <class T>
void runInputGradient(CpuContext& context, const KernelCall& call, const Rows& r, bool centred) {
  const TensorView* dx = call.inputGradient(0);
  if (!dx) return;
  const auto scale = perFeature<Wide<T>>(call, call.forwardInput(1), r, 1);
  parallelRanges(context, r.rows, r.f, [&](int64_t begin, int64_t end) {
    RowNorm<T> norm = normOf<T>(call, r, centred, scale);
    norm.rows = end - begin;
    const int64_t at = begin * r.f;
    inputGradientRows(norm, call.forwardInput(0)->as<T>() + at,
                      call.outputGradient(0)->as<T>() + at, dx->as<T>() + at);
  });
}

/// Every piece of the rows sums blocks of a few rows, and those to its own total: the rounding of
/// long sums stays small and the order of additions is fixed.
template <class T>
void runScaleGradient(CpuContext& context, const KernelCall& call, const Rows& r, bool centred) {
  using W = Wide<T>;
  const TensorView* dScale = call.inputGradient(1);
  const TensorView* dShift = call.inputGradient(2);
  if (!dScale && !dShift) return;
  constexpr int64_t kBlock = 64;
  const int64_t pieces = std::clamp<int64_t>(r.rows / kBlock, 1, context.threads());
  const size_t width = static_cast<size_t>(2 * r.f);
  std::vector<W> totals(width * static_cast<size_t>(pieces), W(0));
  parallelRanges(context, pieces, r.rows / pieces * r.f, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) {
      const int64_t end = r.rows * (p + 1) / pieces;
      for (int64_t i = r.rows * p / pieces; i < end; i += kBlock) {
        std::vector<W> part(width, W(0));
        RowNorm<T> norm = normOf<T>(call, r, centred, {});
        norm.rows = std::min(kBlock, end - i);
        scaleGradientRows(norm, call.forwardInput(0)->as<T>() + i * r.f,
                          call.outputGradient(0)->as<T>() + i * r.f, part.data(),
                          part.data() + r.f);
        for (size_t j = 0; j < width; ++j) totals[static_cast<size_t>(p) * width + j] += part[j];
      }
    }
  });
  for (size_t p = 1; p < static_cast<size_t>(pieces); ++p)
    for (size_t j = 0; j < width; ++j) totals[j] += totals[p * width + j];
  storePerFeature(call, dScale, totals.data(), r);
  storePerFeature(call, dShift, totals.data() + r.f, r);
}

void forward(CpuContext& context, const KernelCall& call, bool centred) {
  forElementType(*call.op, call.inputs[0].type.dtype,
                 [&](auto element) { runForward<decltype(element)>(context, call, centred); });
}

void backward(CpuContext& context, const KernelCall& call, bool centred) {
  const Rows r(call, call.outputGradient(0)->type.shape);
  forElementType(*call.op, call.outputGradient(0)->type.dtype, [&](auto element) {
    runInputGradient<decltype(element)>(context, call, r, centred);
    runScaleGradient<decltype(element)>(context, call, r, centred);
  });
}

}  // namespace

void layerNorm(CpuContext& context, const KernelCall& call) {
  forward(context, call, true);
}
void layerNormGradient(CpuContext& context, const KernelCall& call) {
  backward(context, call, true);
}
void rmsNorm(CpuContext& context, const KernelCall& call) {
  forward(context, call, false);
}
void rmsNormGradient(CpuContext& context, const KernelCall& call) {
  backward(context, call, false);
}

}  // namespace meshplan
