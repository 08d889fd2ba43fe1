// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/normalization.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "backend/cpu/element.h"
#include "backend/cpu/parallel.h"

namespace meshplan {
namespace {

/// y = x (bias + alpha / size * sum of squares of neighbouring channels)^-beta.
struct LocalResponse {
  int64_t outer, channels, inner, below, above;
  double alpha, beta, bias;

  LocalResponse(const KernelCall& call, const Shape& x) {
    const Attributes& a = call.op->attributes;
    const int64_t size = a.getInt("size", 1);
    outer = x[0];
    channels = x[1];
    inner = elementCount(Shape(x.begin() + 2, x.end()));
    below = (size - 1) / 2;
    above = size - 1 - below;
    alpha = a.getFloat("alpha", 1e-4) / static_cast<double>(size);
    beta = a.getFloat("beta", 0.75);
    bias = a.getFloat("bias", 1);
  }

  /// Sum of f(channel) over the window of a channel; `mirrored` over the channels whose windows
  /// hold it.
  template <class F>
  double around(int64_t channel, bool mirrored, F f) const {
    const int64_t first = std::max<int64_t>(0, channel - (mirrored ? above : below));
    const int64_t last = std::min(channels - 1, channel + (mirrored ? below : above));
    double sum = 0;
    for (int64_t c = first; c <= last; ++c) sum += f(c);
    return sum;
  }

  template <class T>
  double scale(const T* x, int64_t channel) const {
    return bias + alpha * around(channel, false, [&](int64_t c) {
                    const double v = static_cast<double>(x[c * inner]);
                    return v * v;
                  });
  }

  template <class F>
  void forPositions(const CpuContext& context, F f) const {
    parallelRanges(context, outer * inner, channels * 8, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) f(i / inner * channels * inner + i % inner);
    });
  }
};

void localResponse(CpuContext& context, const KernelCall& call) {
  const LocalResponse lrn(call, call.inputs[0].type.shape);
  forElementType(*call.op, call.inputs[0].type.dtype, [&](auto element) {
    using T = decltype(element);
    lrn.forPositions(context, [&](int64_t at) {
      const T* const x = call.inputs[0].as<T>() + at;
      T* const y = call.outputs[0].as<T>() + at;
      for (int64_t c = 0; c < lrn.channels; ++c)
        y[c * lrn.inner] = T(static_cast<Wide<T>>(static_cast<double>(x[c * lrn.inner]) *
                                                  std::pow(lrn.scale(x, c), -lrn.beta)));
    });
  });
}

void localResponseGradient(CpuContext& context, const KernelCall& call) {
  const TensorView& in = *call.forwardInput(0);
  const LocalResponse lrn(call, in.type.shape);
  forElementType(*call.op, in.type.dtype, [&](auto element) {
    using T = decltype(element);
    lrn.forPositions(context, [&](int64_t at) {
      const T* const x = in.as<T>() + at;
      const T* const dy = call.outputGradient(0)->as<T>() + at;
      T* const dx = call.inputGradient(0)->as<T>() + at;
      std::vector<double> scales(static_cast<size_t>(lrn.channels));
      for (int64_t c = 0; c < lrn.channels; ++c) scales[static_cast<size_t>(c)] = lrn.scale(x, c);
      for (int64_t c = 0; c < lrn.channels; ++c) {
        const double sum = lrn.around(c, true, [&](int64_t k) {
          return static_cast<double>(dy[k * lrn.inner]) * static_cast<double>(x[k * lrn.inner]) *
                 std::pow(scales[static_cast<size_t>(k)], -lrn.beta - 1);
        });
        const double own = static_cast<double>(dy[c * lrn.inner]) *
                           std::pow(scales[static_cast<size_t>(c)], -lrn.beta);
        dx[c * lrn.inner] = T(static_cast<Wide<T>>(
            own - 2 * lrn.alpha * lrn.beta * sum * static_cast<double>(x[c * lrn.inner])));
      }
    });
  });
}

/// Calls f(offset of the first element) for every line; its elements lie l.inner apart.
template <class F>
void forLines(const CpuContext& context, const Lines& l, F f) {
  parallelRanges(context, l.outer * l.inner, l.extent, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i / l.inner * l.extent * l.inner + i % l.inner);
  });
}

template <class T>
double normOf(const T* x, const Lines& l, bool squares) {
  double sum = 0;
  for (int64_t i = 0; i < l.extent; ++i) {
    const double v = static_cast<double>(x[i * l.inner]);
    sum += squares ? v * v : std::abs(v);
  }
  return squares ? std::sqrt(sum) : sum;
}

void lpNorm(CpuContext& context, const KernelCall& call) {
  const TensorView& x = call.inputs[0];
  const Lines l = linesOf(call.op->attributes, x.type.shape);
  const bool squares = call.op->attributes.getInt("p", 2) == 2;
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forLines(context, l, [&](int64_t at) {
      const T* const from = x.as<T>() + at;
      T* const to = call.outputs[0].as<T>() + at;
      const double norm = normOf(from, l, squares);
      for (int64_t i = 0; i < l.extent; ++i) {
        const double v = static_cast<double>(from[i * l.inner]);
        to[i * l.inner] = T(static_cast<Wide<T>>(norm == 0 ? 0 : v / norm));
      }
    });
  });
}

/// dx = (dy - d|x|/dx sum(dy x) / |x|) / |x|.
void lpNormGradient(CpuContext& context, const KernelCall& call) {
  const TensorView& x = *call.forwardInput(0);
  const Lines l = linesOf(call.op->attributes, x.type.shape);
  const bool squares = call.op->attributes.getInt("p", 2) == 2;
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    forLines(context, l, [&](int64_t at) {
      const T* const from = x.as<T>() + at;
      const T* const dy = call.outputGradient(0)->as<T>() + at;
      T* const dx = call.inputGradient(0)->as<T>() + at;
      const double norm = normOf(from, l, squares);
      double sum = 0;
      for (int64_t i = 0; i < l.extent * l.inner; i += l.inner)
        sum += static_cast<double>(dy[i]) * static_cast<double>(from[i]);
      for (int64_t i = 0; i < l.extent * l.inner; i += l.inner) {
        const double v = static_cast<double>(from[i]);
        const double slope = squares ? v / norm : static_cast<double>((v > 0) - (v < 0));
        const double g = (static_cast<double>(dy[i]) - slope * sum / norm) / norm;
        dx[i] = T(static_cast<Wide<T>>(norm == 0 ? 0 : g));
      }
    });
  });
}

/// Which statistic each element belongs to, when they run over `axes`.
struct Groups {
  std::vector<int64_t> of;
  int64_t count = 1;

  Groups(const Shape& shape, const std::vector<int64_t>& axes) : of(1, 0) {
    const auto rank = static_cast<int64_t>(shape.size());
    for (int64_t d = 0; d < rank; ++d) {
      const int64_t extent = shape[static_cast<size_t>(d)];
      const bool over = std::any_of(axes.begin(), axes.end(),
                                    [&](int64_t a) { return (a < 0 ? a + rank : a) == d; });
      std::vector<int64_t> next;
      for (int64_t group : of)
        for (int64_t i = 0; i < extent; ++i) next.push_back(over ? group : group * extent + i);
      of = std::move(next);
      if (!over) count *= extent;
    }
  }
};

/// ONNX defines y = (x - mean) / (sqrt(variance) + 1e-9).
constexpr double kMeanVarianceEpsilon = 1e-9;

struct MeanVariance {
  Groups groups;
  double count;
  std::vector<double> mean, deviation;

  template <class T>
  MeanVariance(const KernelCall& call, const TensorType& type, const T* x)
      : groups(type.shape, call.op->attributes.getInts("axes", {0, 2, 3})),
        count(static_cast<double>(type.elements()) / static_cast<double>(groups.count)),
        mean(static_cast<size_t>(groups.count)),
        deviation(mean.size()) {
    for (size_t i = 0; i < groups.of.size(); ++i) mean[at(i)] += static_cast<double>(x[i]) / count;
    for (size_t i = 0; i < groups.of.size(); ++i) {
      const double d = static_cast<double>(x[i]) - mean[at(i)];
      deviation[at(i)] += d * d / count;
    }
    for (double& d : deviation) d = std::sqrt(d);
  }

  size_t at(size_t element) const { return static_cast<size_t>(groups.of[element]); }
};

void meanVariance(CpuContext&, const KernelCall& call) {
  const TensorView& x = call.inputs[0];
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    const MeanVariance m(call, x.type, x.as<T>());
    for (size_t i = 0; i < m.groups.of.size(); ++i) {
      const double d = static_cast<double>(x.as<T>()[i]) - m.mean[m.at(i)];
      call.outputs[0].as<T>()[i] =
          T(static_cast<Wide<T>>(d / (m.deviation[m.at(i)] + kMeanVarianceEpsilon)));
    }
  });
}

void meanVarianceGradient(CpuContext&, const KernelCall& call) {
  const TensorView& x = *call.forwardInput(0);
  forElementType(*call.op, x.type.dtype, [&](auto element) {
    using T = decltype(element);
    const MeanVariance m(call, x.type, x.as<T>());
    const T* const dy = call.outputGradient(0)->as<T>();
    std::vector<double> sum(m.mean.size()), product(sum.size());
    for (size_t i = 0; i < m.groups.of.size(); ++i) {
      const double g = static_cast<double>(dy[i]);
      sum[m.at(i)] += g / m.count;
      product[m.at(i)] += g * (static_cast<double>(x.as<T>()[i]) - m.mean[m.at(i)]) / m.count;
    }
    for (size_t i = 0; i < m.groups.of.size(); ++i) {
      const size_t group = m.at(i);
      const double deviation = m.deviation[group], whole = deviation + kMeanVarianceEpsilon;
      const double d = static_cast<double>(x.as<T>()[i]) - m.mean[group];
      const double bend = deviation == 0 ? 0 : d * product[group] / (deviation * whole);
      const double g = (static_cast<double>(dy[i]) - sum[group] - bend) / whole;
      call.inputGradient(0)->as<T>()[i] = T(static_cast<Wide<T>>(g));
    }
  });
}

constexpr std::array<CpuKernels, 11> kKernels{{
    {"LayerNormalization", layerNorm, layerNormGradient},
    {"RMSNormalization", rmsNorm, rmsNormGradient},
    {"BatchNormalization", batchNorm, batchNormGradient},
    {"InstanceNormalization", groupNorm, groupNormGradient},
    {"GroupNormalization", groupNorm, groupNormGradient},
    {"LRN", localResponse, localResponseGradient},
    {"LpNormalization", lpNorm, lpNormGradient},
    {"MeanVarianceNormalization", meanVariance, meanVarianceGradient},
    {"Softmax", softmax, softmaxGradient},
    {"LogSoftmax", logSoftmax, logSoftmaxGradient},
    {"Hardmax", hardmax, nullptr},
}};

}  // namespace

std::span<const CpuKernels> normalizationKernels() {
  return kKernels;
}

}  // namespace meshplan
